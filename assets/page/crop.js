// What the network sees of the picture: what it takes by itself, all of it, or a square that the visitor moves. The choice is part of the question.
(() => {
  const { state, panels, element, slider } = window.TRGBP;
  const SMALLEST = 5; // per cent of the shorter side, as trgbp_core/data/crop.py has it
  const LARGEST_SQUARE = { x: 0.5, y: 0.5, size: 1 };
  const KEY_PAUSE = 400; // milliseconds; a key that is held asks once
  let unshown = null;
  const clamp = (value) => Math.min(1, Math.max(0, value));

  // Puts a question to the server: a file as Gradio's picture has it, and a part of it.
  function ask(file, crop) {
    state.asked = { file, crop };
    window.TRGBP.stale(true);
    window.TRGBP.put(state.asked);
  }

  // Called when the server has placed the picture of a link: what is asked about is the file that the browser has now. Asks nothing itself.
  function placed(file, notice) {
    state.asked = { file, crop: notice?.crop ?? state.asked?.crop ?? 'centre' };
    window.TRGBP.expected(file, notice);
    return state.asked;
  }

  const read = (crop) => {
    const [x, y, size] = crop.split(',').map(Number);
    return { x, y, size };
  };
  const written = ({ x, y, size }) => [x, y, size].map((value) => Number(value.toFixed(4))).join(',');

  // [left, top, right, bottom] in fractions of a picture of that size.
  function regionOf({ x, y, size }, [width, height]) {
    const side = Math.max(1, Math.round(size * Math.min(width, height)));
    const [left, top] = [Math.round(x * (width - side)), Math.round(y * (height - side))];
    return [left / width, top / height, (left + side) / width, (top + side) / height];
  }

  panels.crop = (root) => {
    let view = null;
    let square = LARGEST_SQUARE;
    let kind = 'centre';
    let start = null;
    let later = 0;
    const image = element('img', { alt: '', draggable: 'false' });
    const seen = element('div', { class: 'tg-crop-seen', 'data-control': 'crop' });
    const area = element('div', { class: 'tg-crop-area' }, image, seen);
    const said = element('span');
    const choice = (value, text) => element('label', {}, element('input', { type: 'radio', name: 'tg-crop', value, onchange: () => choose(value) }), text);
    const size = slider('Side of the square', 'As a part of the picture’s shorter side.', (value) => change({ size: value / 100 }), { min: SMALLEST, max: 100, 'data-control': 'crop-size' });
    size.input.addEventListener('change', send);
    const help = element('small', { text: 'Drag the square, or move it with the arrow keys; + and − change its size.' });
    const box = element('details', { class: 'tg-crop', hidden: '' }, element('summary', {}, 'The network sees ', said), area,
      element('fieldset', { class: 'tg-crop-choices' }, element('legend', { text: 'What it is shown' }),
        choice('centre', 'what it takes by itself'), choice('whole', 'the whole picture'), choice('square', 'a square')), size, help);
    root.append(box);

    function send() {
      clearTimeout(later);
      const crop = kind === 'square' ? written(square) : kind;
      if (state.asked && state.asked.crop !== crop) ask(state.asked.file, crop);
    }

    function show() {
      const region = kind === 'square' ? regionOf(square, view.size) : kind === 'whole' ? [0, 0, 1, 1] : view.middle ?? view.region;
      const [left, top, right, bottom] = region.map((edge) => 100 * clamp(edge));
      Object.assign(seen.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
      const own = kind === 'square';
      const share = Math.round(((right - left) * (bottom - top)) / 100);
      box.dataset.kind = kind;
      box.querySelector(`input[value="${kind}"]`).checked = true;
      size.hidden = help.hidden = !own;
      size.input.value = Math.round(100 * square.size);
      size.output.textContent = `${size.input.value} %`;
      said.textContent = own ? `a square, ${share} % of the picture` : share > 99 ? 'all of the picture, made square' : `the middle, ${share} % of the picture`;
      const role = { tabindex: '0', role: 'application', 'aria-label': 'The square that the network sees. Arrow keys move it, plus and minus change its size.' };
      for (const [name, value] of Object.entries(role)) own ? seen.setAttribute(name, value) : seen.removeAttribute(name);
    }

    function change(part) {
      square = { ...square, ...part };
      show();
    }

    function choose(value) {
      kind = value;
      if (kind === 'square' && state.asked?.crop && !state.asked.crop.includes(',')) square = LARGEST_SQUARE;
      show();
      send();
    }

    // The square's place after a move by so many fractions of the picture.
    function moved({ x, y, size: side }, across, down) {
      const [width, height] = view.size;
      const room = [width, height].map((length) => 1 - (side * Math.min(width, height)) / length);
      return { x: room[0] > 0 ? clamp(x + across / room[0]) : 0.5, y: room[1] > 0 ? clamp(y + down / room[1]) : 0.5 };
    }

    area.addEventListener('pointerdown', (event) => {
      if (kind !== 'square') return;
      start = { at: [event.clientX, event.clientY], square };
      area.setPointerCapture(event.pointerId);
      event.preventDefault();
      seen.focus({ preventScroll: true });
    });
    area.addEventListener('pointermove', (event) => {
      if (!start) return;
      const { width, height } = area.getBoundingClientRect();
      change(moved(start.square, (event.clientX - start.at[0]) / width, (event.clientY - start.at[1]) / height));
    });
    ['pointerup', 'pointercancel'].forEach((name) => area.addEventListener(name, () => {
      if (start) send();
      start = null;
    }));
    seen.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, -0.02], ArrowDown: [0, 0.02] }[event.key];
      const grow = { '+': 0.05, '=': 0.05, '-': -0.05 }[event.key];
      if (!move && !grow) return;
      event.preventDefault();
      change(move ? moved(square, ...move) : { size: Math.min(1, Math.max(SMALLEST / 100, square.size + grow)) });
      clearTimeout(later);
      later = setTimeout(send, KEY_PAUSE);
    });

    // A new question's answer; while one is asked the visitor's own choice stands.
    return (payload) => {
      if (!payload.view || payload.view === view) return;
      const before = view;
      view = payload.view;
      // What a network takes by itself: another crop of the same picture does not tell where it lies.
      view.middle = view.crop === 'centre' ? view.region : before?.whole === view.whole && payload.model === before.model ? before.middle : null;
      view.model = payload.model;
      box.hidden = false;
      image.src = view.whole;
      showInstead(view.whole);
      if (!start && (!state.asked || state.asked.crop === view.crop)) {
        kind = view.crop.includes(',') ? 'square' : view.crop;
        if (kind === 'square') square = read(view.crop);
        if (kind !== 'centre') box.open = true;
      }
      show();
    };
  };

  // Browsers do not show every format that the server reads (HEIC): then the server's own copy stands in the place of the picture.
  document.addEventListener('error', ({ target }) => {
    if (target.matches?.('#tg-input img')) unshown = target;
  }, true);
  document.addEventListener('load', ({ target }) => { if (target === unshown) unshown = null; }, true);
  function showInstead(whole) {
    if (unshown?.isConnected) unshown.src = whole;
    unshown = null;
  }

  Object.assign(window.TRGBP, { ask, placed });
})();
