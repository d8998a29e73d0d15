// Maps in the browser: grey tiles are decoded once, then coloured and laid over the picture on a canvas, so that sliders, opacity and
// colours never ask the server.
(() => {
  const state = { picture: null, opacity: 0.65, colours: 'inferno', lookups: {}, views: {}, roots: {}, data: {}, followers: {}, layer: 0, stage: 0, at: null };
  const SIDE = 224;

  function decode(src, side = SIDE) {
    const image = new Image();
    image.src = src;
    return image.decode().then(() => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = side;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.imageSmoothingEnabled = true;
      context.drawImage(image, 0, 0, side, side);
      return context.getImageData(0, 0, side, side).data;
    });
  }

  // Decoded tiles are kept beside their panels; a panel that goes takes them along.
  const decoded = new WeakMap();
  function pixels(panel) {
    if (!decoded.has(panel)) {
      const promise = decode(panel.src).then((data) => { decoded.set(panel, data); return data; });
      decoded.set(panel, promise);
    }
    return decoded.get(panel);
  }

  function lookup(name) {
    return state.lookups[name] || (state.lookups[name] = Uint8Array.from(atob(window.TRGBP_COLOURS[name]), (c) => c.charCodeAt(0)));
  }

  function paint(canvas, grey) {
    const { panel } = canvas;
    const table = lookup(panel.signed ? 'diverging' : state.colours);
    const under = panel.alone ? null : panel.under ? panel.underData : state.pictureData; // a lesson's maps lie over pictures of their own
    const context = canvas.getContext('2d');
    const out = context.createImageData(SIDE, SIDE);
    const to = out.data;
    const a = under ? state.opacity : 1;
    for (let i = 0; i < to.length; i += 4) {
      const c = 3 * grey[i];
      to[i] = a * table[c] + (under ? (1 - a) * under[i] : 0);
      to[i + 1] = a * table[c + 1] + (under ? (1 - a) * under[i + 1] : 0);
      to[i + 2] = a * table[c + 2] + (under ? (1 - a) * under[i + 2] : 0);
      to[i + 3] = 255;
    }
    context.putImageData(out, 0, 0);
  }

  // Draw a panel on a canvas now if its tile is decoded, else as soon as it is (unless another panel took the canvas meanwhile).
  function draw(canvas, panel) {
    canvas.panel = panel;
    const grey = pixels(panel);
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
    if (state.picture === src) return Promise.resolve();
    state.picture = src;
    return decode(src).then((data) => { state.pictureData = data; repaint(); });
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

  window.TRGBP = { state, decode, draw, repaint, element, figure, slider, scale, setPicture, pixels };
})();
