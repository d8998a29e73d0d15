// Maps in the browser: grey tiles are decoded once, then coloured and laid over the picture on a canvas, so that sliders, opacity and
// colours never ask the server.
(() => {
  const state = { picture: null, under: {}, opacity: 0.65, colours: 'inferno', lookups: {}, views: {}, roots: {}, data: {}, followers: {}, layer: 0, stage: 0, at: null };
  const SIDE = 224;

  // A canvas for reading pixels; one a side, for nothing is kept on it.
  const scratches = {};
  function scratch(side) {
    if (!scratches[side]) {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = side;
      scratches[side] = canvas.getContext('2d', { willReadFrequently: true });
    }
    return scratches[side];
  }

  function pixelsOf(image, side) {
    const context = scratch(side);
    context.drawImage(image, 0, 0, side, side);
    return context.getImageData(0, 0, side, side).data;
  }

  function decode(src, side = SIDE) {
    const image = new Image();
    image.src = src;
    return image.decode().then(() => pixelsOf(image, side));
  }

  // A sheet holds the tiles of many maps, one below the other; it is decoded once. Nothing comes back where that is done.
  function load(sheet) {
    if (sheet.canvas) return null;
    if (!sheet.loading) {
      const image = new Image();
      image.src = sheet.src;
      sheet.loading = image.decode().then(() => {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.width, image.height];
        canvas.getContext('2d', { willReadFrequently: true }).drawImage(image, 0, 0);
        sheet.canvas = canvas;
      });
    }
    return sheet.loading;
  }

  // A panel's tile: a part of a sheet, or a picture of its own. Kept beside the panel; a panel that goes takes it along.
  const tiles = new WeakMap();
  function tile(panel) {
    if (!tiles.has(panel)) tiles.set(panel, { sheet: panel.page || { src: panel.src }, at: panel.at || 0, of: panel.of || 1, grey: {} });
    return tiles.get(panel);
  }

  // A panel's map at a side, one byte a pixel; a promise of it if its sheet is not decoded yet.
  function pixels(panel, side = SIDE) {
    const { sheet, at, of, grey } = tile(panel);
    if (grey[side]) return grey[side];
    const loading = load(sheet);
    if (loading) return loading.then(() => pixels(panel, side));
    const height = sheet.canvas.height / of;
    const context = scratch(side);
    context.drawImage(sheet.canvas, 0, at * height, sheet.canvas.width, height, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const out = (grey[side] = new Uint8Array(side * side));
    for (let i = 0; i < out.length; i += 1) out[i] = data[4 * i];
    return out;
  }

  function lookup(name) {
    return state.lookups[name] || (state.lookups[name] = Uint8Array.from(atob(window.TRGBP_COLOURS[name]), (c) => c.charCodeAt(0)));
  }

  // What lies under a map at a side; null while there is nothing. A lesson's maps lie over pictures of their own.
  function under(panel, side) {
    if (panel.alone) return null;
    if (panel.under) return panel.underData;
    if (!state.image) return null;
    return state.under[side] || (state.under[side] = pixelsOf(state.image, side));
  }

  const contexts = new WeakMap();
  function paint(canvas, grey) {
    const side = canvas.width;
    if (!contexts.has(canvas)) {
      const context = canvas.getContext('2d');
      const image = context.createImageData(side, side);
      contexts.set(canvas, { context, image, words: new Uint32Array(image.data.buffer) });
    }
    const { context, image, words } = contexts.get(canvas);
    const table = lookup(canvas.panel.signed ? 'diverging' : state.colours);
    const below = under(canvas.panel, side);
    const a = below ? Math.round(256 * state.opacity) : 256;
    const b = 256 - a;
    for (let i = 0; i < words.length; i += 1) {
      const c = 3 * grey[i];
      let [red, green, blue] = [a * table[c], a * table[c + 1], a * table[c + 2]];
      if (b) {
        red += b * below[4 * i];
        green += b * below[4 * i + 1];
        blue += b * below[4 * i + 2];
      }
      words[i] = 0xff000000 | ((blue >> 8) << 16) | (green & 0xff00) | (red >> 8);
    }
    context.putImageData(image, 0, 0);
  }

  // What cannot be seen now is painted when it can be.
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting && target.stale && target.panel) draw(target, target.panel);
  }, { rootMargin: '10000px' });

  // Draw a panel on a canvas now if its tile is decoded, else as soon as it is (unless another panel took the canvas meanwhile).
  function draw(canvas, panel) {
    canvas.panel = panel;
    canvas.stale = canvas.isConnected && !canvas.checkVisibility();
    if (canvas.stale) {
      seen.unobserve(canvas); // observed anew, it is told at once whether it can be seen
      seen.observe(canvas);
      return;
    }
    const grey = pixels(panel, canvas.width);
    if (grey instanceof Promise) grey.then((data) => { if (canvas.panel === panel) paint(canvas, data); }).catch(() => {});
    else paint(canvas, grey);
  }

  // The colours from nothing to most, or, of a map with both signs, from all against to all for the class.
  function ramp(canvas) {
    const table = lookup(canvas.dataset.signed ? 'diverging' : state.colours);
    const context = canvas.getContext('2d');
    const out = context.createImageData(256, 1);
    for (let i = 0; i < 256; i += 1) out.data.set([table[3 * i], table[3 * i + 1], table[3 * i + 2], 255], 4 * i);
    context.putImageData(out, 0, 0);
    return canvas;
  }

  function repaint() {
    document.querySelectorAll('canvas.tg-ramp').forEach(ramp);
    document.querySelectorAll('canvas.tg-map').forEach((canvas) => { if (canvas.panel) draw(canvas, canvas.panel); });
  }

  // Once the frame that is due has been shown.
  function afterFrame(work) {
    requestAnimationFrame(() => setTimeout(work));
  }

  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === 'text') node.textContent = window.TRGBP_TRANSLATE(value);
      else if (key === 'aria-label') node.setAttribute(key, window.TRGBP_TRANSLATE(value));
      else if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  // A figure whose panel can be exchanged: figure.show(panel).
  function figure(className = '') {
    const canvas = element('canvas', { class: 'tg-map', width: SIDE, height: SIDE, role: 'img', 'aria-label': 'no map yet' });
    const empty = element('p', { class: 'tg-empty' });
    const title = element('strong');
    const caption = element('span');
    const node = element('figure', { class: `tg-figure ${className}` },
      element('div', { class: 'tg-frame' }, canvas, empty), element('figcaption', {}, title, caption));
    node.clear = () => {
      canvas.panel = null;
      canvas.getContext('2d').clearRect(0, 0, SIDE, SIDE);
      canvas.setAttribute('aria-label', 'no map yet');
      empty.textContent = '';
    };
    node.show = (panel) => {
      draw(canvas, panel);
      canvas.setAttribute('aria-label', panel.alt);
      title.textContent = panel.title;
      caption.textContent = panel.caption || '';
      empty.textContent = panel.empty || '';
    };
    return node;
  }

  // What the colours of the maps on a tab mean: one scale for all of them, whichever sign they show.
  function scale() {
    const bar = (signed) => ramp(element('canvas', { class: 'tg-ramp', width: 256, height: 1, 'aria-hidden': 'true', ...(signed ? { 'data-signed': 'yes' } : {}) }));
    const word = (text) => element('span', { text });
    return element('p', { class: 'tg-scale' },
      element('span', {}, word('0'), bar(false), word('1 · what speaks for the class')),
      element('span', {}, word('−1'), bar(true), word('1 · blue against, red for it')),
      word('1: each map’s 99.9 % quantile'));
  }

  function setPicture(src) {
    if (state.picture === src) return null;
    state.picture = src;
    const image = new Image();
    image.src = src;
    return image.decode().then(() => { if (state.picture === src) Object.assign(state, { image, under: {} }); });
  }

  // A native slider with a label and a line of help; arrow keys move it.
  function slider(label, info, oninput, attributes = {}) {
    const id = `tg-${Math.random().toString(36).slice(2)}`;
    const input = element('input', { type: 'range', id, min: 0, max: 0, value: 0, step: 1, 'aria-describedby': `${id}-i`, ...attributes });
    const output = element('output', { for: id });
    input.addEventListener('input', () => oninput(Number(input.value)));
    const node = element('div', { class: 'tg-slider' },
      element('label', { for: id, text: label }), output, input, element('small', { id: `${id}-i`, text: info }));
    return Object.assign(node, { input, output });
  }

  window.TRGBP = { state, decode, draw, repaint, element, figure, slider, scale, setPicture, pixels, load, afterFrame };
})();
