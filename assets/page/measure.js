// The panels of the tab Measure: how much of each map lies in the box on the picture is added up here, from shares of a fine grid.
(() => {
  const { state, element, figure, boxOn, outline } = window.TRGBP;
  const abbreviation = (short, long) => element('abbr', { title: long, text: short });
  const OWN_COLOURS = { tr_gbp: '#0072b2', tr_gbp_conserving: '#009e73', guided_backprop: '#d55e00', grad_cam: '#cc79a7' };
  const COLOURS = ['#e69f00', '#56b4e9', '#8a8a00', '#555555'];
  const colour = (curve, i) => OWN_COLOURS[curve.key] || COLOURS[i % COLOURS.length];
  const CELLS = 56;
  const FRAME = 16 / 224;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  // Sums of all cells above and left of a corner: a box is four look-ups.
  function corners(panel) {
    if (panel.corners) return panel.corners;
    const n = panel.cells;
    const shares = new Float32Array(Uint8Array.from(atob(panel.shares), (c) => c.charCodeAt(0)).buffer);
    const sums = new Float64Array((n + 1) * (n + 1));
    for (let y = 0; y < n; y += 1) {
      let row = 0;
      for (let x = 0; x < n; x += 1) {
        row += shares[y * n + x];
        sums[(y + 1) * (n + 1) + x + 1] = sums[y * (n + 1) + x + 1] + row;
      }
    }
    return (panel.corners = sums);
  }

  function inside(panel, [left, top, right, bottom]) {
    const sums = corners(panel);
    const at = (x, y) => sums[y * (panel.cells + 1) + x];
    return at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top);
  }

  function drawing(moved) {
    const picture = element('img', { class: 'tg-picture', alt: 'The picture; the box drawn on it is measured', draggable: 'false' });
    const area = element('div', { class: 'tg-frame tg-draw', role: 'application', 'data-control': 'box',
      'aria-label': 'Box on the picture. Drag to draw. Arrow keys move it, with Shift they change its size.' }, picture);
    const box = boxOn(area, CELLS, { moved });
    box.place([0, 0, CELLS, CELLS]);
    return Object.assign(box, { area, picture });
  }

  // One score in a line: its name, a bar with a mark for a uniform map, the number.
  function score(name) {
    const [bar, even, number] = [element('i', { class: 'tg-bar' }), element('i', { class: 'tg-even' }), element('b', { class: 'tg-number', text: '–' })];
    const node = element('div', { class: 'tg-score' }, element('span', { text: name }), element('div', { class: 'tg-track' }, bar, even), number);
    node.show = (share, uniform) => {
      number.textContent = share === null ? '–' : percent(share);
      bar.style.width = `${100 * Math.min(1, Math.max(0, share || 0))}%`;
      even.style.left = `${100 * uniform}%`;
    };
    return node;
  }

  function card({ key, title }) {
    const map = figure('tg-card');
    map.dataset.method = key;
    const [box, frame, wait] = [outline('tg-box'), outline('tg-border'), element('p', { class: 'tg-wait', text: 'computing …' })];
    frame.place([FRAME, FRAME, 1 - FRAME, 1 - FRAME]);
    map.querySelector('.tg-frame').append(frame, box, element('div', { class: 'tg-waiting' }, wait));
    map.querySelector('strong').textContent = title;
    const [inBox, inFrame] = [score('in the box'), score('at the edge')];
    map.append(inBox, inFrame);
    let now = null;
    return {
      map,
      show: (panel) => {
        if (!panel && now) map.clear();
        now = panel;
        wait.hidden = Boolean(panel);
        if (panel?.src) map.show(panel);
        else map.querySelector('.tg-empty').textContent = panel?.empty || '';
      },
      measure: (edges, area) => {
        const measured = now?.src && inside(now, [0, 0, now.cells, now.cells]) > 0;
        inBox.show(measured ? inside(now, edges) : null, area);
        inFrame.show(measured ? now.ibd : null, 1 - (1 - 2 * FRAME) ** 2);
        box.place(edges.map((edge) => edge / CELLS));
      },
    };
  }

  const question = (text, ...words) => element('section', {}, element('h2', { class: 'tg-question', text }), element('p', { class: 'tg-lead' }, ...words));

  window.TRGBP.panels.measure = (root) => {
    const cards = new Map();
    const size = element('span');
    let [around, drawnOn] = ['', null];
    function measure(edges) {
      const area = ((edges[2] - edges[0]) * (edges[3] - edges[1])) / CELLS ** 2;
      size.textContent = `${around}${percent(area)} of the picture. Drag to draw another box, or use the arrow keys.`;
      cards.forEach((one) => one.measure(edges, area));
    }
    const draw = drawing((edges) => {
      [around, drawnOn] = ['Your box: ', state.data.measure?.of.replace(/:\d+$/, '')];
      measure(edges);
    });
    const grid = element('div', { class: 'tg-row tg-grid tg-cards', 'data-slider': '' },
      element('figure', { class: 'tg-figure' }, draw.area, element('figcaption', {}, element('strong', { text: 'Draw a box here' }), size)));
    root.append(element('div', { class: 'tg-questions' },
      question('How much of the map lies in your box?', 'The share of the map inside the solid box (',
        abbreviation('EBPG', 'energy-based pointing game'), ', Eq. 11). A good map of a thing lies on the thing. The mark on a bar is what a map that is the same everywhere would have.'),
      question('How much lies at the edge?', 'The share outside the dashed line, in the outermost fourteenth of each side (of 224 pixels 16; ',
        abbreviation('IBD', 'intensity of boundary dependency'), ', Eq. 12). Much at the edge can mean that the network’s answer is wrong: see the tab Predict.')), grid);

    // Around what is explained on an example, or in the middle; a box that somebody drew stays for as long as the picture does.
    function begin({ of, box }) {
      if (drawnOn === of.replace(/:\d+$/, '')) return;
      drawnOn = null;
      around = box.thing ? `Around ${box.thing}: ` : 'The middle: ';
      const out = [Math.floor, Math.floor, Math.ceil, Math.ceil];
      draw.place(box.edges.map((edge, i) => Math.min(CELLS, Math.max(0, out[i](CELLS * edge - (i < 2 ? -1e-6 : 1e-6))))));
    }

    return (payload) => {
      if (state.picture && draw.picture.src !== state.picture) draw.picture.src = state.picture;
      begin(payload);
      const found = new Map(payload.panels.map((panel) => [panel.key, panel]));
      const keys = payload.places.map((place) => place.key);
      for (const [key, one] of cards) if (!keys.includes(key)) { one.map.remove(); cards.delete(key); }
      for (const place of payload.places) {
        if (!cards.has(place.key)) cards.set(place.key, card(place));
        const one = cards.get(place.key);
        if (grid.children[keys.indexOf(place.key) + 1] !== one.map) grid.insertBefore(one.map, grid.children[keys.indexOf(place.key) + 1] || null);
        one.show(found.get(place.key) || null);
      }
      measure(draw.edges());
    };
  };

  // One chart of all curves. `highest` is the same for both charts: they are read beside each other.
  function plot(title, order, curves, highest) {
    const [width, height, left, bottom, top, right] = [420, 230, 58, 40, 8, 16];
    const [first, last] = [0.001, 0.9];
    const x = (share) => left + ((width - left - right) * Math.log(share / first)) / Math.log(last / first);
    const y = (value) => top + (height - top - bottom) * (1 - value / highest);
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', `${title}; areas: ${curves.filter((c) => c[order]).map((c) => `${c.title} ${c[`${order}_area`].toFixed(3)}`).join(', ')}`);
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => part * highest).map((v) => `<line class="tg-gridline" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 5}" y="${y(v) + 4}" text-anchor="end">${Math.round(100 * v)} %</text>`);
    const marks = [first, 0.01, 0.1, last].map((v, i) => `<text x="${x(v)}" y="${height - bottom + 15}" text-anchor="${i === 3 ? 'end' : 'middle'}">${100 * v} %</text>`);
    const lines = curves.map((curve, i) => (curve[order] ? `<polyline class="tg-curve" style="color:${colour(curve, i)}" points="${curve.fractions.map((f, j) => `${x(f).toFixed(1)},${y(curve[order][j]).toFixed(1)}`).join(' ')}"/>` : ''));
    const middle = (height - bottom + top) / 2;
    svg.innerHTML = `${ticks.join('')}${marks.join('')}${lines.join('')}<text x="${(width + left) / 2}" y="${height - 5}" text-anchor="middle">share of the pixels made black (logarithmic)</text><text transform="translate(12 ${middle}) rotate(-90)" text-anchor="middle">change of the score</text>`;
    return element('figure', { class: 'tg-plot' }, svg, element('figcaption', { text: title }));
  }

  function areas(curves) {
    const column = (short, long, word) => element('th', { scope: 'col', class: 'tg-number' }, abbreviation(short, long), ` area, ${word}`);
    const head = [element('th', { scope: 'col', text: 'Method' }), column('MoRF', 'most relevant first', 'high is good'), column('LeRF', 'least relevant first', 'low is good')];
    const lines = curves.map((curve, i) => {
      const numbers = curve.empty ? [element('td', { colspan: 2, text: curve.empty })]
        : ['morf', 'lerf'].map((order) => element('td', { class: 'tg-number', text: curve[`${order}_area`].toFixed(3) }));
      return element('tr', {}, element('th', { scope: 'row' }, element('span', { class: 'tg-key', style: `--tg-colour:${colour(curve, i)}` }), curve.title), ...numbers);
    });
    return element('table', { class: 'tg-table' }, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...lines));
  }

  const MEANING = 'A method that does well here names pixels on which the score depends. They need not be those that a person would point at; and the network has never learned from pictures with black holes.';

  window.TRGBP.panels.perturb = (root) => {
    const plots = element('div', { class: 'tg-plots' });
    const wait = element('p', { class: 'tg-lead', text: 'Press the button for two charts with a curve for each method. Each method takes some seconds.' });
    root.append(wait, plots);
    return ({ curves }) => {
      if (!curves.length) { plots.replaceChildren(); return; }
      wait.textContent = MEANING;
      const highest = Math.max(1, ...curves.flatMap((curve) => [...(curve.morf || []), ...(curve.lerf || [])]));
      plots.replaceChildren(plot('Most important pixels first. Higher is better: the score changes soon.', 'morf', curves, highest),
        plot('Least important pixels first. Lower is better: the score changes late.', 'lerf', curves, highest), areas(curves));
    };
  };
})();
