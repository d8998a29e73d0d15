// The Measure tab: a box is drawn on the picture; how much of each map lies in it is added up here, from shares of a fine grid.
(() => {
  const { state, element, figure } = window.TRGBP;
  const SVG = 'http://www.w3.org/2000/svg';
  const COLOURS = ['#0072b2', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#e69f00', '#8a8a00', '#555555'];
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

  function row(panel) {
    const map = figure('tg-small');
    const box = outline('tg-box');
    const frame = outline('tg-border');
    frame.place([FRAME, FRAME, 1 - FRAME, 1 - FRAME]);
    map.querySelector('.tg-frame').append(frame, box);
    const bar = element('i', { class: 'tg-bar' });
    const [score, border] = [element('td', { class: 'tg-number' }), element('td', { class: 'tg-number' })];
    const line = element('tr', { 'data-method': panel.key }, element('th', { scope: 'row' }, map), element('td', { class: 'tg-bars' }, bar), score, border);
    let now = panel;
    return {
      line,
      show: (next) => {
        now = next;
        if (next.src) map.show(next);
        else { map.querySelector('strong').textContent = next.title; map.querySelector('.tg-empty').textContent = next.empty; }
        border.textContent = next.src ? percent(next.ibd) : '–';
      },
      measure: (edges) => {
        if (!now.src) { score.textContent = '–'; return; }
        const share = inside(now, edges);
        score.textContent = percent(share);
        bar.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
        box.place(edges.map((edge) => edge / now.cells));
      },
    };
  }

  window.TRGBP.views.measure = (root) => {
    const rows = new Map();
    const body = element('tbody');
    const size = element('span');
    const measure = (edges) => {
      const area = ((edges[2] - edges[0]) * (edges[3] - edges[1])) / 3136;
      size.textContent = `The box holds ${percent(area)} of the picture: a map that points nowhere scores that.`;
      rows.forEach((one) => one.measure(edges));
    };
    const draw = drawing(56, measure);
    const head = ['Map', 'Share of relu(R) in the box', 'EBPG', 'IBD'].map((text) => element('th', { scope: 'col', text }));
    root.append(element('div', { class: 'tg-row tg-measure' },
      element('figure', { class: 'tg-figure' }, draw.area, element('figcaption', {}, element('strong', { text: 'Draw a box around the object' }), size)),
      element('table', { class: 'tg-table' }, element('caption', { text: 'EBPG (Eq. 11): how much of the map lies in the box. IBD (Eq. 12): how much lies in the frame, drawn thin.' }),
        element('thead', {}, element('tr', {}, ...head)), body)));
    draw.set(draw.edges());
    return (payload) => {
      if (state.picture && draw.picture.src !== state.picture) draw.picture.src = state.picture;
      const keys = payload.panels.map((panel) => panel.key);
      for (const [key, one] of rows) if (!keys.includes(key)) { one.line.remove(); rows.delete(key); }
      for (const panel of payload.panels) {
        if (!rows.has(panel.key)) { rows.set(panel.key, row(panel)); body.append(rows.get(panel.key).line); }
        rows.get(panel.key).show(panel);
      }
      measure(draw.edges());
    };
  };

  function plot(title, order, curves) {
    const [width, height, left, bottom] = [420, 190, 34, 26];
    const highest = Math.max(0.1, ...curves.flatMap((curve) => curve[order] || []));
    const x = (share) => left + (width - left - 8) * share;
    const y = (value) => 8 + (height - 8 - bottom) * (1 - value / highest);
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', `${title}; areas: ${curves.filter((c) => c[order]).map((c) => `${c.title} ${c[`${order}_area`].toFixed(3)}`).join(', ')}`);
    const ticks = [0, highest / 2, highest].map((v) => `<line class="tg-gridline" x1="${left}" x2="${width - 8}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 4}" y="${y(v) + 4}" text-anchor="end">${v.toFixed(1)}</text>`);
    const marks = [0, 0.5, 0.9].map((v) => `<text x="${x(v)}" y="${height - 12}" text-anchor="middle">${100 * v} %</text>`);
    const lines = curves.map((curve, i) => (curve[order] ? `<polyline class="tg-curve" style="color:${COLOURS[i % COLOURS.length]}" points="${curve.fractions.map((f, j) => `${x(f).toFixed(1)},${y(Math.min(highest, curve[order][j])).toFixed(1)}`).join(' ')}"/>` : ''));
    svg.innerHTML = `${ticks.join('')}${marks.join('')}${lines.join('')}<text x="${(width + left) / 2}" y="${height - 1}" text-anchor="middle">pixels made black</text>`;
    return element('figure', { class: 'tg-plot' }, svg, element('figcaption', { text: title }));
  }

  window.TRGBP.views.perturb = (root) => {
    const plots = element('div', { class: 'tg-plots' });
    root.append(plots);
    return ({ curves }) => {
      const legend = element('p', { class: 'tg-legend' }, ...curves.map((curve, i) => element('span', { class: 'tg-key', style: `--tg-colour:${COLOURS[i % COLOURS.length]}`,
        text: curve.empty ? `${curve.title}: ${curve.empty}` : `${curve.title} (MoRF ${curve.morf_area.toFixed(3)}, LeRF ${curve.lerf_area.toFixed(3)})` })));
      plots.replaceChildren(legend, plot('Most relevant first (MoRF): a good map changes the class score early', 'morf', curves),
        plot('Least relevant first (LeRF): a good map changes it late', 'lerf', curves));
    };
  };
})();
