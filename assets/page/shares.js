// "Who says so, here?": a place on the shown map, and a signed bar for every layer, its part of the sum of the map there.
(() => {
  const { state, element } = window.TRGBP;
  const CELLS = 56;
  const POINT = 4; // cells on each side of what a click asks about: 16 of 224 pixels
  const number = (value) => `${value < 0 ? '−' : '+'}${Math.abs(value).toLocaleString('en', { maximumSignificantDigits: 3 })}`;

  // The shares that are asked for, once they are there.
  const found = () => {
    const { shares, explain } = state.data;
    const asked = state.box?.join();
    return shares && asked && shares.of === explain?.key && shares.against === state.against && shares.box.join() === asked ? shares : null;
  };

  // Asks about a box, left, top, right and bottom in fractions of the picture; null for none.
  function ask(edges) {
    state.box = edges;
    document.body.dataset.trgbpBox = edges?.join() ?? '';
    state.updates.shares?.();
  }

  // The same of a box as an address has it.
  window.TRGBP.askPlace = (text) => {
    const edges = text?.split(',').map((edge) => Math.round(CELLS * Number(edge)));
    const drawn = edges?.length === 4 && edges[0] < edges[2] && edges[1] < edges[3] && edges[3] <= CELLS && edges[2] <= CELLS;
    ask(drawn ? edges.map((edge) => edge / CELLS) : null);
  };

  // The part of the tab Explain that shows them. `figure` holds the map; `look.at(layer)` looks inside at a layer, `look.mark(layer)` marks one.
  window.TRGBP.whoSaysSo = (figure, look) => {
    const frame = figure.querySelector('.tg-frame');
    const invite = element('small', { text: 'Who says so? Click a place on the map, or draw a box: every layer’s part of it appears here.' });
    const said = element('p', { role: 'status' });
    const at = element('output', { class: 'tg-share-at' });
    const bars = element('div', { class: 'tg-shares', role: 'group', 'aria-label': 'Every layer’s part, the picture’s first' });
    const away = element('button', { type: 'button', class: 'tg-button', 'data-control': 'no-box', text: 'Take the box away', onclick: () => {
      ask(null);
      frame.focus();
    } });
    const result = element('div', { hidden: '' }, said, bars, element('div', { class: 'tg-under' }, at, away));
    const node = element('section', { class: 'tg-who', 'aria-label': 'Who says so, here?' }, invite, result);

    frame.setAttribute('role', 'application');
    frame.setAttribute('data-control', 'place');
    frame.setAttribute('aria-label', 'Place on the map. Click or drag to ask which layers speak there. Arrow keys move the box, with Shift they change its size, Escape takes it away.');
    frame.classList.add('tg-ask');
    const box = window.TRGBP.boxOn(frame, CELLS, { least: POINT, settled: (edges) => ask(edges.map((edge) => edge / CELLS)) });
    frame.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !state.box) return;
      event.stopPropagation();
      ask(null);
    });

    const bar = (index) => {
      const button = element('button', { type: 'button', 'data-layer': index, tabindex: -1, onclick: () => look.at(index) }, element('i'));
      const tell = () => { at.textContent = button.getAttribute('aria-label'); };
      button.addEventListener('pointerenter', tell);
      button.addEventListener('focus', tell);
      return button;
    };

    // One stop of the Tab key: the arrow keys go from bar to bar.
    bars.addEventListener('keydown', (event) => {
      const last = bars.children.length - 1;
      const now = [...bars.children].indexOf(event.target);
      const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const to = bars.children[Math.max(0, Math.min(last, next))];
      bars.querySelector('[tabindex="0"]')?.setAttribute('tabindex', -1);
      to.tabIndex = 0;
      to.focus();
    });

    function draw(shares) {
      const { layers, class: chosen, answers } = state.data.explain;
      const parts = shares.parts[state.psi];
      const [low, high] = [Math.min(0, ...parts), Math.max(0, ...parts)];
      const span = high - low || 1;
      const most = parts.reduce((best, part, i) => (Math.abs(part) > Math.abs(parts[best]) ? i : best), 0);
      while (bars.children.length > parts.length) bars.lastChild.remove();
      while (bars.children.length < parts.length) bars.append(bar(bars.children.length));
      parts.forEach((part, i) => {
        const button = bars.children[i];
        const label = `Layer ${i}, ${layers[i].name}: ${number(part)}`;
        if (label !== button.getAttribute('aria-label')) button.setAttribute('aria-label', label);
        button.dataset.sign = part < 0 ? 'minus' : 'plus';
        button.classList.toggle('tg-most', i === most);
        button.tabIndex = i === most ? 0 : -1;
        button.firstChild.style.cssText = `top:${(100 * (high - Math.max(0, part))) / span}%;height:${(100 * Math.abs(part)) / span}%`;
      });
      bars.style.setProperty('--tg-zero', `${(100 * high) / span}%`);
      const sum = parts.reduce((total, part) => total + part, 0);
      const other = answers.find(({ index }) => index === shares.against)?.name;
      const colours = other ? `Red speaks for ${chosen.name}, blue for ${other}.` : `Red speaks for ${chosen.name}, blue against it.`;
      const hidden = other || sum > 0 ? '' : ' The map above shows only what speaks for the class; what speaks against it is counted here, too.';
      said.replaceChildren(element('strong', { text: 'Who says so, here? ' }),
        `In the box the map adds up to ${number(sum)}: the sum of these parts, one for each layer. ${colours} The largest in size, ${number(parts[most])}, is that of `,
        element('strong', { text: `layer ${most}` }), ` (${layers[most].name}).${hidden} Click a bar to look inside.`);
      at.textContent = bars.children[most].getAttribute('aria-label');
      look.mark(most);
    }

    node.show = () => {
      box.place(state.box?.map((edge) => Math.round(edge * CELLS)) ?? null);
      invite.hidden = Boolean(state.box);
      result.hidden = !state.box;
      if (!state.box || !state.data.explain) { look.mark(null); return; }
      const shares = found();
      bars.classList.toggle('tg-waits', !shares);
      if (shares) draw(shares);
      else window.TRGBP.askShares([state.data.explain.class.index, state.against, state.box]);
    };
    state.updates.shares = node.show;
    return node;
  };
})();
