// The panels of the tab Compare.
(() => {
  const { state, panels, element, figure, scale, percent } = window.TRGBP;

  // A method's panel has its place and its words before its map is there.
  function place(about) {
    const node = figure('tg-method');
    const wait = element('p', { class: 'tg-wait' });
    const bar = element('progress', { max: 1, value: 0, 'aria-label': about.title, hidden: '' });
    const time = element('small', { class: 'tg-time' });
    node.dataset.method = about.key;
    node.querySelector('.tg-frame').append(element('div', { class: 'tg-waiting' }, wait, bar));
    node.querySelector('strong').textContent = about.title;
    node.querySelector('figcaption span').textContent = about.what;
    const said = [['Promise', about.promise], ['Known failure', about.failure]];
    node.append(time, element('dl', {}, ...said.flatMap(([term, text]) => [element('dt', { text: term }), Object.assign(element('dd'), { textContent: text })])),
      Object.assign(element('cite'), { textContent: about.citation }));
    let src = null;
    return {
      node,
      wait: (text, share = null) => {
        if (src !== null) node.clear();
        src = null;
        time.textContent = '';
        wait.textContent = text + (share ? ` ${percent(share)}` : '');
        bar.hidden = share === null;
        bar.value = share || 0;
      },
      show: (panel) => {
        wait.textContent = '';
        bar.hidden = true;
        time.textContent = panel.seconds === null ? 'does not apply' : `${panel.seconds.toFixed(2)} s`;
        if (panel.src && panel.src === src) return;
        src = panel.src || '';
        if (panel.src) node.show({ ...panel, caption: about.what });
        else node.querySelector('.tg-empty').textContent = panel.empty;
      },
    };
  }

  panels.compare = (root) => {
    const grid = element('div', { class: 'tg-row tg-grid' });
    const shown = new Map();
    let [panels, computing] = [[], { key: '' }];
    root.append(scale(), grid);

    function unfinished() {
      const done = new Set(panels.map((panel) => panel.key));
      const running = computing.key && !done.has(computing.key);
      for (const [key, one] of shown) {
        if (!done.has(key)) one.wait(!running ? 'not computed' : key === computing.key ? 'computing …' : 'waiting', running && key === computing.key ? computing.share : null);
      }
    }

    state.updates.comparing = (payload) => {
      computing = payload;
      unfinished();
    };
    return (payload) => {
      panels = payload.panels;
      if (!payload.places.every((about, i) => [...shown.keys()][i] === about.key) || shown.size !== payload.places.length) {
        const kept = new Map(shown);
        shown.clear();
        payload.places.forEach((about) => shown.set(about.key, kept.get(about.key) || place(about)));
        grid.replaceChildren(...[...shown.values()].map((one) => one.node));
      }
      panels.forEach((panel) => shown.get(panel.key).show(panel));
      if (state.data.comparing) computing = state.data.comparing;
      unfinished();
    };
  };
})();
