// The panels of the tabs Compare and Sanity check.
(() => {
  const { state, panels, element, figure, slider, scale, percent, pixels, afterFrame } = window.TRGBP;

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

  function curves(kind, stages, current) {
    const [width, height, left, bottom] = [420, 170, 34, 22];
    const total = Math.max(1, stages[0].total);
    const x = (i) => left + ((width - left - 8) * i) / total;
    const y = (v) => 8 + (height - 8 - bottom) * (1 - (v + 0.5) / 1.5);
    const names = { own: 'TR-GBP', conserving: 'conserving ψ', raw: 'R̃', gbp: 'Guided backprop', baseline: stages[0].panels.find((p) => p.id === 'baseline')?.title };
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('role', 'img');
    const last = stages[stages.length - 1];
    svg.setAttribute('aria-label', `${kind} with the trained network's map; at stage ${last.index}: ${Object.entries(last.similarity).map(([k, s]) => `${names[k]} ${s[kind].toFixed(2)}`).join(', ')}`);
    const lines = [-0.5, 0, 0.5, 1].map((v) => `<line class="tg-gridline" x1="${left}" x2="${width - 8}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 5}" y="${y(v) + 4}" text-anchor="end">${v}</text>`);
    const paths = Object.keys(last.similarity).map((key) => {
      const points = stages.filter((s) => s.similarity[key]).map((s) => `${x(s.index).toFixed(1)},${y(Math.max(-0.5, s.similarity[key][kind])).toFixed(1)}`);
      return `<polyline class="tg-curve tg-${key}" points="${points.join(' ')}"/>`;
    });
    svg.innerHTML = `${lines.join('')}${paths.join('')}<line class="tg-now" x1="${x(current)}" x2="${x(current)}" y1="8" y2="${height - bottom}"/><text x="${(width + left) / 2}" y="${height - 4}" text-anchor="middle">layers randomised, of ${total}</text>`;
    return { svg, names };
  }

  // The stage slider stands beside the buttons, in a place of its own; it moves what the tab shows.
  const stage = slider('Layers randomised', '0 is the trained network; every step randomises one more layer, from the logits down.', (value) => stage.moved(value),
    { 'data-control': 'stage' });

  panels.stage = (root) => {
    root.append(stage);
    return () => {};
  };

  panels.cascade = (root) => {
    const figures = {};
    const row = element('div', { class: 'tg-row tg-grid' });
    const status = element('p', { class: 'tg-lead', role: 'status', text: 'Press “Randomise”. The slider can be moved while stages arrive.' });
    const plots = element('div', { class: 'tg-plots' });
    let stages = [];
    Object.assign(stage.input, { max: 0, value: 0 });
    stage.output.textContent = '';
    stage.moved = (value) => {
      state.at = value === stages.length - 1 ? null : value;
      show(value);
    };
    root.append(status, row, scale(), plots);

    function plot(index) {
      if (plots.stages === stages.length) {
        const at = 34 + ((420 - 34 - 8) * stages[index].index) / Math.max(1, stages[0].total);
        plots.querySelectorAll('.tg-now').forEach((line) => { line.setAttribute('x1', at); line.setAttribute('x2', at); });
        return;
      }
      plots.stages = stages.length;
      const legend = element('p', { class: 'tg-legend' });
      const drawn = [['Spearman of |R|', 'spearman'], ['SSIM of relu(R)', 'ssim']].map(([title, kind]) => {
        const { svg, names } = curves(kind, stages, index);
        if (!legend.children.length) legend.append(...Object.keys(stages[0].similarity).map((key) => element('span', { class: `tg-key tg-${key}`, text: names[key] })));
        return element('figure', { class: 'tg-plot' }, svg, element('figcaption', { text: `${title} with the trained network’s map` }));
      });
      plots.replaceChildren(legend, ...drawn);
    }

    function show(index) {
      const current = stages[index];
      if (!current) return;
      state.stage = index;
      for (const panel of current.panels) {
        if (!figures[panel.id]) { figures[panel.id] = figure(); row.append(figures[panel.id]); }
        const score = current.similarity[panel.id];
        panel.caption = `Spearman ${score.spearman.toFixed(2)}, SSIM ${score.ssim.toFixed(2)}`;
        figures[panel.id].show(panel);
      }
      stage.output.textContent = `${current.index} of ${current.total} · ${current.name}`;
      status.textContent = `The network now says ${current.top.name}, ${percent(current.top.probability)}.${current.note ? ` ${current.note}` : ''}`;
      plot(index);
    }

    return (payload) => {
      const restarted = payload.stages.length < stages.length || (stages.length && payload.run !== stages.run);
      stages = payload.stages;
      stages.run = payload.run;
      if (restarted) { plots.stages = 0; row.replaceChildren(); Object.keys(figures).forEach((key) => delete figures[key]); }
      if (!stages.length) return;
      stage.input.max = stages.length - 1;
      stage.input.value = state.stage;
      show(state.stage);
      afterFrame(() => payload.stages.slice(-8).forEach((one) => one.panels.forEach((panel) => pixels(panel))));
    };
  };
})();
