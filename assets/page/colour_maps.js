// Colour maps: grey tiles are decoded once, then coloured and laid over the picture on a canvas, so that sliders, opacity and colours never
// ask the server; `page_overlay` of trgbp_core/drawing/render.py does the same for figures. `TRGBP.state` is what the whole page knows.
(() => {
  const state = { picture: null, under: {}, opacity: 0.65, colours: 'inferno', lookups: {}, updates: {}, roots: {}, data: {}, followers: {}, psi: 0, against: null, box: null, layer: 0, stage: 0, at: null };
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

  // The picture under a map at a side, null while there is none. A lesson's maps lie over pictures of their own.
  function under(panel, side) {
    if (panel.alone) return null;
    if (panel.under) return panel.underData;
    if (!state.image) return null;
    return state.under[side] || (state.under[side] = pixelsOf(state.image, side));
  }

  // How much of the picture each of a tile's 256 steps covers at full opacity: zero is transparent in every colour map.
  const FULL_COVER = 0.3;
  const cover = (i, signed) => Math.min(1, (signed ? Math.abs(i - 128) / 127 : i / 255) / FULL_COVER);
  const covers = { false: Float32Array.from({ length: 256 }, (_, i) => cover(i, false)), true: Float32Array.from({ length: 256 }, (_, i) => cover(i, true)) };

  const contexts = new WeakMap();
  function paint(canvas, grey) {
    const side = canvas.width;
    if (!contexts.has(canvas)) {
      const context = canvas.getContext('2d');
      const image = context.createImageData(side, side);
      contexts.set(canvas, { context, image, words: new Uint32Array(image.data.buffer) });
    }
    const { context, image, words } = contexts.get(canvas);
    const signed = Boolean(canvas.panel.signed);
    const table = lookup(signed ? 'diverging' : state.colours);
    const below = under(canvas.panel, side);
    const weights = Uint16Array.from(covers[signed], (share) => (below ? Math.round(256 * state.opacity * share) : 256));
    for (let i = 0; i < words.length; i += 1) {
      const c = 3 * grey[i];
      const a = weights[grey[i]];
      const b = 256 - a;
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

  // What is out of sight is painted when it comes into sight.
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting && target.stale && target.panel) draw(target, target.panel);
  }, { rootMargin: '10000px' });

  // Draw a panel on a canvas now if its tile is decoded, else as soon as it is (unless another panel took the canvas meanwhile).
  function draw(canvas, panel) {
    canvas.panel = panel;
    canvas.stale = canvas.isConnected && !canvas.checkVisibility();
    if (canvas.stale) {
      seen.unobserve(canvas); // a new observation reports at once whether it is in sight
      seen.observe(canvas);
      return;
    }
    const grey = pixels(panel, canvas.width);
    if (grey instanceof Promise) grey.then((data) => { if (canvas.panel === panel) paint(canvas, data); }).catch(() => {});
    else paint(canvas, grey);
  }

  // The colours from nothing to most, or, of a map with both signs, from all against to all for the class.
  function ramp(canvas) {
    const signed = Boolean(canvas.dataset.signed);
    const table = lookup(signed ? 'diverging' : state.colours);
    const context = canvas.getContext('2d');
    const out = context.createImageData(256, 1);
    for (let i = 0; i < 256; i += 1) out.data.set([table[3 * i], table[3 * i + 1], table[3 * i + 2], 255 * covers[signed][i]], 4 * i);
    context.putImageData(out, 0, 0);
    return canvas;
  }

  function repaint() {
    document.querySelectorAll('canvas.tg-ramp').forEach(ramp);
    document.querySelectorAll('canvas.tg-map').forEach((canvas) => { if (canvas.panel) draw(canvas, canvas.panel); });
  }

  function setPicture(src) {
    if (state.picture === src) return null;
    state.picture = src;
    const image = new Image();
    image.src = src;
    return image.decode().then(() => { if (state.picture === src) Object.assign(state, { image, under: {} }); });
  }

  // What of the maps is the browser's choice, for figures that are downloaded: their look, the second class, the box on the map of Explain.
  const look = () => JSON.stringify({ colours: state.colours, opacity: state.opacity, against: state.against, box: state.box });

  window.TRGBP = { state, SIDE, decode, draw, ramp, repaint, pixels, load, setPicture, look };
})();
