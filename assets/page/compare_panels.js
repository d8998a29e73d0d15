// The panels of the tab Compare.
(() => {
  const { state, panels, element, figure, balance, scale, percent } = window.TRGBP;

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
    const body = element('div');
    const shown = new Map();
    let [panels, computing, built] = [[], { key: '' }, ''];
    root.append(scale(), body);

    function unfinished() {
      const done = new Set(panels.map((panel) => panel.id));
      const running = computing.key && !done.has(computing.key);
      for (const [id, one] of shown) {
        if (!done.has(id)) one.wait(!running ? 'not computed' : id === computing.key ? 'computing …' : 'waiting', running && id === computing.key ? computing.share : null);
      }
    }

    // One row of panels; of several networks one for each, with its prediction above it.
    function build({ places, rows }) {
      const kept = new Map(shown);
      shown.clear();
      places.forEach((about) => shown.set(about.id, kept.get(about.id) || place(about)));
      const grid = (of) => element('div', { class: 'tg-row tg-grid' }, ...of.map(({ id }) => shown.get(id).node));
      body.replaceChildren(...(rows ? rows.map(({ model, title }) => element('section', { class: 'tg-network', 'data-model': model },
        element('h2', { class: 'tg-question', text: title }), element('p', { class: 'tg-lead' }), grid(places.filter((about) => about.model === model)))) : [grid(places)]));
      balance(body);
    }

    state.updates.comparing = (payload) => {
      computing = payload;
      unfinished();
    };
    return (payload) => {
      panels = payload.panels;
      const wanted = JSON.stringify([payload.places.map(({ id }) => id), payload.rows?.map(({ model }) => model)]);
      if (wanted !== built) build(payload);
      built = wanted;
      payload.rows?.forEach(({ said }, i) => { body.children[i].querySelector('.tg-lead').textContent = said && `Its answer: ${said}`; });
      panels.forEach((panel) => shown.get(panel.id).show(panel));
      if (state.data.comparing) computing = state.data.comparing;
      unfinished();
    };
  };
})();
