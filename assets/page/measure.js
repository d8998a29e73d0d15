// The panels of the tab Measure: how much of each map lies in the box on the picture is added up here, from shares of a fine grid.
(() => {
  const { state, element, figure } = window.TRGBP;
  const SVG = 'http://www.w3.org/2000/svg';
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

  // Rectangles over a square picture, in cells: the drawn box, or the frame of Eq. 12.
  function outline(className) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 1 1');
    svg.setAttribute('class', 'tg-outline');
    svg.setAttribute('aria-hidden', 'true');
    const rect = document.createElementNS(SVG, 'rect');
    rect.setAttribute('class', className);
    svg.append(rect);
    svg.place = ([left, top, right, bottom]) => {
      Object.entries({ x: left, y: top, width: right - left, height: bottom - top }).forEach(([key, value]) => rect.setAttribute(key, value));
    };
    return svg;
  }

  function drawing(cells, moved) {
    const picture = element('img', { class: 'tg-picture', alt: 'The picture; the box drawn on it is measured', draggable: 'false' });
    const box = outline('tg-box');
    const area = element('div', { class: 'tg-frame tg-draw', tabindex: '0', role: 'application', 'data-control': 'box',
      'aria-label': 'Box on the picture. Drag to draw. Arrow keys move it, with Shift they change its size.' }, picture, box);
    let edges = [14, 14, 42, 42];
    let start = null;
    const clamp = (value) => Math.min(cells, Math.max(0, value));
    const cell = (event) => {
      const around = area.getBoundingClientRect();
      return [event.clientX - around.left, event.clientY - around.top].map((v, i) => clamp(Math.round((cells * v) / [around.width, around.height][i])));
    };
    function set(next) {
      edges = next;
      box.place(edges.map((edge) => edge / cells));
      moved(edges);
    }
    function drag(event) {
      if (!start) return;
      const [x, y] = cell(event);
      const span = (a, b) => (a === b ? [Math.min(a, cells - 1), Math.min(a, cells - 1) + 1] : [Math.min(a, b), Math.max(a, b)]);
      const [[left, right], [top, bottom]] = [span(start[0], x), span(start[1], y)];
      set([left, top, right, bottom]);
    }
    area.addEventListener('pointerdown', (event) => { start = cell(event); area.setPointerCapture(event.pointerId); drag(event); event.preventDefault(); area.focus(); });
    area.addEventListener('pointermove', drag);
    ['pointerup', 'pointercancel'].forEach((name) => area.addEventListener(name, () => { start = null; }));
    area.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      const [left, top, right, bottom] = edges;
      const next = [right + move[0], bottom + move[1]];
      if (event.shiftKey) {
        if (next[0] > left && next[0] <= cells && next[1] > top && next[1] <= cells) set([left, top, ...next]);
      } else if (left + move[0] >= 0 && top + move[1] >= 0 && next[0] <= cells && next[1] <= cells) set([left + move[0], top + move[1], ...next]);
    });
    return { area, picture, edges: () => edges, set };
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

  function card(key) {
    const map = figure('tg-card');
    map.dataset.method = key;
    const [box, frame] = [outline('tg-box'), outline('tg-border')];
    frame.place([FRAME, FRAME, 1 - FRAME, 1 - FRAME]);
    map.querySelector('.tg-frame').append(frame, box);
    const [inBox, inFrame] = [score('EBPG'), score('IBD')];
    map.append(inBox, inFrame);
    let now = null;
    return {
      map,
      show: (panel) => {
        now = panel;
        if (panel.src) map.show(panel);
        else { map.querySelector('strong').textContent = panel.title; map.querySelector('.tg-empty').textContent = panel.empty; }
      },
      measure: (edges, area) => {
        const measured = now.src && inside(now, [0, 0, now.cells, now.cells]) > 0;
        inBox.show(measured ? inside(now, edges) : null, area);
        inFrame.show(measured ? now.ibd : null, 1 - (1 - 2 * FRAME) ** 2);
        if (now.src) box.place(edges.map((edge) => edge / now.cells));
      },
    };
  }

  window.TRGBP.panels.measure = (root) => {
    const cards = new Map();
    const size = element('span');
    const measure = (edges) => {
      const area = ((edges[2] - edges[0]) * (edges[3] - edges[1])) / CELLS ** 2;
      size.textContent = `${percent(area)} of the picture. Drag, or use the arrow keys.`;
      cards.forEach((one) => one.measure(edges, area));
    };
    const draw = drawing(CELLS, measure);
    const grid = element('div', { class: 'tg-row tg-grid tg-cards' },
      element('figure', { class: 'tg-figure' }, draw.area, element('figcaption', {}, element('strong', { text: 'Draw a box here' }), size)));
    root.append(element('p', { class: 'tg-lead', text: 'EBPG (Eq. 11): share of the map in the box. IBD (Eq. 12): in the dashed frame. Mark: a uniform map.' }), grid);
    draw.set(draw.edges());
    return (payload) => {
      if (state.picture && draw.picture.src !== state.picture) draw.picture.src = state.picture;
      const keys = payload.panels.map((panel) => panel.key);
      for (const [key, one] of cards) if (!keys.includes(key)) { one.map.remove(); cards.delete(key); }
      for (const panel of payload.panels) {
        if (!cards.has(panel.key)) cards.set(panel.key, card(panel.key));
        grid.append(cards.get(panel.key).map); // in the order of the payload
        cards.get(panel.key).show(panel);
      }
      measure(draw.edges());
    };
  };

  function plot(title, order, curves) {
    const [width, height, left, bottom] = [420, 190, 34, 30];
    const highest = Math.max(0.1, ...curves.flatMap((curve) => curve[order] || []));
    const [first, last] = [0.001, 0.9];
    const x = (share) => left + ((width - left - 16) * Math.log(share / first)) / Math.log(last / first);
    const y = (value) => 8 + (height - 8 - bottom) * (1 - value / highest);
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', `${title}; areas: ${curves.filter((c) => c[order]).map((c) => `${c.title} ${c[`${order}_area`].toFixed(3)}`).join(', ')}`);
    const ticks = [0, highest / 2, highest].map((v) => `<line class="tg-gridline" x1="${left}" x2="${width - 16}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 4}" y="${y(v) + 4}" text-anchor="end">${v.toFixed(1)}</text>`);
    const marks = [first, 0.01, 0.1, last].map((v) => `<text x="${x(v)}" y="${height - 16}" text-anchor="middle">${100 * v} %</text>`);
    const lines = curves.map((curve, i) => (curve[order] ? `<polyline class="tg-curve" style="color:${colour(curve, i)}" points="${curve.fractions.map((f, j) => `${x(f).toFixed(1)},${y(Math.min(highest, curve[order][j])).toFixed(1)}`).join(' ')}"/>` : ''));
    svg.innerHTML = `${ticks.join('')}${marks.join('')}${lines.join('')}<text x="${(width + left) / 2}" y="${height - 2}" text-anchor="middle">pixels made black</text>`;
    return element('figure', { class: 'tg-plot' }, svg, element('figcaption', { text: title }));
  }

  function areas(curves) {
    const head = ['Method', 'MoRF area, high is good', 'LeRF area, low is good'].map((text, i) => element('th', { scope: 'col', class: i ? 'tg-number' : null, text }));
    const lines = curves.map((curve, i) => {
      const numbers = curve.empty ? [element('td', { colspan: 2, text: curve.empty })]
        : ['morf', 'lerf'].map((order) => element('td', { class: 'tg-number', text: curve[`${order}_area`].toFixed(3) }));
      return element('tr', {}, element('th', { scope: 'row' }, element('span', { class: 'tg-key', style: `--tg-colour:${colour(curve, i)}` }), curve.title), ...numbers);
    });
    return element('table', { class: 'tg-table' }, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...lines));
  }

  window.TRGBP.panels.perturb = (root) => {
    const plots = element('div', { class: 'tg-plots' });
    root.append(plots);
    return ({ curves }) => plots.replaceChildren(plot('Most relevant pixels first (MoRF): a good map changes the class score early', 'morf', curves),
      plot('Least relevant first (LeRF): a good map changes it late', 'lerf', curves), areas(curves));
  };
})();
