// The elements that panels are made of: figures with a map, which can be enlarged, sliders, the scale of the colours, rows of figures.
(() => {
  const { SIDE, draw, ramp } = window.TRGBP;

  const percent = (p) => (p >= 0.995 ? '>99 %' : p < 0.001 ? '<0.1 %' : `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`);

  // Once the next frame has been shown.
  function afterFrame(work) {
    requestAnimationFrame(() => setTimeout(work));
  }

  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === 'text') node.textContent = value;
      else if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  // A figure whose panel can be exchanged: figure.show(panel). `gesture`: what on the map enlarges it, beside the button.
  function figure(className = '', gesture = 'click') {
    const canvas = element('canvas', { class: 'tg-map', width: SIDE, height: SIDE, role: 'img', 'aria-label': 'no map yet' });
    const empty = element('p', { class: 'tg-empty' });
    const title = element('strong');
    const caption = element('span');
    const larger = element('button', { type: 'button', class: 'tg-larger', text: '⤢', hidden: '', onclick: () => enlarge(node) });
    const node = element('figure', { class: `tg-figure ${className}` },
      element('div', { class: 'tg-frame' }, canvas, empty, larger), element('figcaption', {}, title, caption));
    canvas.parentNode.addEventListener(gesture, (event) => { if (canvas.panel && !event.target.closest('button')) enlarge(node); });
    node.copyTo = (other) => { if (canvas.panel) other.show(canvas.panel); };
    node.clear = () => {
      canvas.panel = null;
      canvas.getContext('2d').clearRect(0, 0, SIDE, SIDE);
      canvas.setAttribute('aria-label', 'no map yet');
      empty.textContent = '';
      larger.hidden = true;
    };
    node.show = (panel) => {
      draw(canvas, panel);
      canvas.setAttribute('aria-label', panel.alt);
      title.textContent = panel.title;
      caption.textContent = panel.caption || '';
      empty.textContent = panel.empty || '';
      larger.hidden = false;
      larger.setAttribute('aria-label', `Enlarge: ${panel.title}`);
      if (enlarged?.of === node) enlarged.map.show(panel);
    };
    return node;
  }

  // The slider that moves a figure's map; a place with `data-slider` names it, or says by an empty name that there is none.
  function sliderOf(node) {
    const place = node.closest('[data-slider], [role=tabpanel]');
    const name = place?.dataset.slider;
    if (name === '') return null;
    return place?.closest('[role=tabpanel]')?.querySelector(`input[type=range]${name ? `[data-control="${name}"]` : ''}`) || null;
  }

  // Another slider that moves the first one along.
  function twin(original, label) {
    const { min, max, value, step } = original;
    const node = slider(label, '', (moved) => {
      original.value = moved;
      original.dispatchEvent(new Event('input', { bubbles: true }));
      node.output.textContent = original.parentNode.querySelector('output').textContent;
    }, { min, max, value, step });
    node.input.value = value;
    node.output.textContent = original.parentNode.querySelector('output').textContent;
    return node;
  }

  // One map as large as the window, with the sliders that change it. Escape closes it.
  let enlarged = null;
  function enlarge(of) {
    if (enlarged || of.closest('dialog')) return;
    const [map, layers, opacity] = [figure('tg-large'), sliderOf(of), document.querySelector('input[data-control="opacity"]')];
    const sliders = [layers && twin(layers, layers.labels[0].textContent), opacity && twin(opacity, 'Opacity of the map')].filter(Boolean);
    const close = element('button', { type: 'button', class: 'tg-button', text: 'Close', onclick: () => dialog.close() });
    const dialog = element('dialog', { class: 'tg-dialog', 'aria-label': 'A map, enlarged' }, map, element('div', { class: 'tg-dialog-side' }, ...sliders, close));
    dialog.addEventListener('close', () => { enlarged = null; dialog.remove(); });
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    document.querySelector('.gradio-container').append(dialog);
    enlarged = { of, map };
    dialog.showModal();
    of.copyTo(map);
    sliders[0]?.input.focus();
  }

  // Presenting: the width of the window, large type, nothing but the maps. Arrow keys move the slider of the open tab, Escape ends it.
  window.TRGBP.presentation = (on) => {
    document.body.classList.toggle('tg-presenting', on);
    const button = document.querySelector('[data-control="present"]');
    button.setAttribute('aria-pressed', String(on));
    button.textContent = on ? 'End the presentation' : 'Present';
  };
  document.addEventListener('keydown', (event) => {
    if (!document.body.classList.contains('tg-presenting') || document.querySelector('dialog[open]')) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape') window.TRGBP.presentation(false);
    else if (by && !event.target.closest('input, select, textarea, [role=tab], [role=application]')) {
      const input = [...document.querySelectorAll('[role=tabpanel] input[type=range]')].find((one) => one.checkVisibility());
      if (!input) return;
      event.preventDefault();
      input[by > 0 ? 'stepUp' : 'stepDown']();
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }
  });

  // As many columns as fit, of at least `least` pixels; fewer where the rows would then be as many but fuller, or the last hold one figure.
  function columns(count, width, least) {
    const fit = Math.max(width < 500 ? 2 : 1, Math.floor((width + 6) / (least + 6)));
    let most = Math.ceil(count / Math.ceil(count / fit));
    while (most > 2 && count % most === 1) most -= 1;
    return most;
  }

  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => arrange(target)));
  function arrange(grid) {
    const count = [...grid.children].filter((child) => child.checkVisibility()).length;
    if (!count || !grid.clientWidth) return;
    const across = columns(count, grid.clientWidth, 180);
    grid.style.setProperty('--tg-columns', across);
    grid.classList.toggle('tg-odd', across === 2 && count % 2 === 1 && count > 1);
  }

  // Keep the rows of figures in `root` without a last one that stands alone, whatever its width.
  function balance(root) {
    root.querySelectorAll('.tg-grid:not(.tg-lesson-maps)').forEach((grid) => {
      sizes.observe(grid);
      new MutationObserver(() => arrange(grid)).observe(grid, { childList: true });
    });
  }

  // What the colours of the maps on a tab mean: one scale for all of them, whichever sign they show; `signs`: maps of both are there.
  function scale(signs = true) {
    const bar = (signed) => ramp(element('canvas', { class: 'tg-ramp', width: 256, height: 1, 'aria-hidden': 'true', ...(signed ? { 'data-signed': 'yes' } : {}) }));
    const word = (text) => element('span', { text });
    return element('p', { class: 'tg-scale' },
      element('span', {}, word('nothing'), bar(false), word('most for the class')),
      ...(signs ? [element('span', {}, word('against'), bar(true), word('for the class')), word('Each map has its own scale: it ends where one pixel in a thousand is stronger.')] : []));
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

  Object.assign(window.TRGBP, { element, figure, balance, slider, scale, percent, afterFrame, panels: {} });
})();
