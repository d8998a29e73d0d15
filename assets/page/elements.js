// The elements that panels are made of: figures with a map, sliders, the scale of the colours.
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
      element('span', {}, word('0'), bar(false), word('1 · evidence for the class')),
      element('span', {}, word('−1'), bar(true), word('1 · blue against, red for it')),
      word('1: each map’s 99.9 % quantile'));
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

  Object.assign(window.TRGBP, { element, figure, slider, scale, percent, afterFrame, panels: {} });
})();
