// A box that is drawn on a picture, in cells of a grid: by pointer, and by the arrow keys.
(() => {
  const SVG = 'http://www.w3.org/2000/svg';

  // A rectangle over a picture, in fractions of it.
  function outline(className) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 1 1');
    svg.setAttribute('preserveAspectRatio', 'none');
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

  // Boxes on `area`, which has cells × cells of them. `moved` hears of every change, `settled` of one that is finished. A click that draws
  // nothing is a box of `least` cells around the place; with `drags` a press inside the box moves it. `place(null)` takes the box away.
  function boxOn(area, cells, { moved = () => {}, settled = () => {}, least = 1, drags = false } = {}) {
    const box = outline('tg-box');
    let [edges, start, before, grip] = [null, null, null, null];
    area.tabIndex = 0;
    area.append(box);
    const clamp = (value) => Math.min(cells, Math.max(0, value));
    const cell = (event) => {
      const around = area.getBoundingClientRect();
      return [event.clientX - around.left, event.clientY - around.top].map((v, i) => clamp(Math.round((cells * v) / [around.width, around.height][i])));
    };
    function place(next) {
      edges = next;
      box.style.display = edges ? '' : 'none';
      if (edges) box.place(edges.map((edge) => edge / cells));
    }
    function set(next) {
      place(next);
      moved(edges);
    }
    const around = ([x, y]) => {
      const [left, top] = [x, y].map((v) => Math.min(cells - least, Math.max(0, v - Math.floor(least / 2))));
      return [left, top, left + least, top + least];
    };
    function drag(event) {
      if (!start) return;
      const [x, y] = cell(event);
      if (grip) {
        const by = [x - start[0], y - start[1]].map((step, i) => Math.min(cells - grip[i + 2], Math.max(-grip[i], step)));
        set(grip.map((edge, i) => edge + by[i % 2]));
        return;
      }
      const span = (a, b) => (a === b ? [Math.min(a, cells - 1), Math.min(a, cells - 1) + 1] : [Math.min(a, b), Math.max(a, b)]);
      const [[left, right], [top, bottom]] = [span(start[0], x), span(start[1], y)];
      set(right - left > 1 || bottom - top > 1 ? [left, top, right, bottom] : around(start));
    }
    area.addEventListener('pointerdown', (event) => {
      if (event.button || event.target.closest('button')) return;
      [before, start] = [edges, cell(event)];
      grip = drags && edges && [0, 1].every((i) => start[i] >= edges[i] && start[i] <= edges[i + 2]) ? edges : null;
      area.setPointerCapture(event.pointerId);
      drag(event);
      event.preventDefault();
      area.focus({ preventScroll: true });
    });
    area.addEventListener('pointermove', drag);
    area.addEventListener('pointerup', () => {
      if (start) settled(edges);
      start = null;
    });
    area.addEventListener('pointercancel', () => { // a finger that scrolls the page
      if (start) set(before);
      start = null;
    });
    area.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move || event.target !== area) return;
      event.preventDefault();
      const [left, top, right, bottom] = edges ?? around([cells / 2, cells / 2]);
      const next = [right + move[0], bottom + move[1]];
      if (!edges) set([left, top, right, bottom]);
      else if (event.shiftKey) {
        if (next[0] > left && next[0] <= cells && next[1] > top && next[1] <= cells) set([left, top, ...next]);
      } else if (left + move[0] >= 0 && top + move[1] >= 0 && next[0] <= cells && next[1] <= cells) set([left + move[0], top + move[1], ...next]);
      settled(edges);
    });
    place(null);
    return { edges: () => edges, place };
  }

  Object.assign(window.TRGBP, { outline, boxOn });
})();
