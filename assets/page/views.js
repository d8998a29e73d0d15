// The tabs: each view builds its elements once and shows what the server sent. A tab that is opened late shows the latest.
(() => {
  const { state, element, figure, slider, scale, setPicture, repaint, load, pixels, afterFrame } = window.TRGBP;
  const percent = (p) => (p >= 0.995 ? '>99 %' : p < 0.001 ? '<0.1 %' : `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`);
  const views = {};

  views.toolbar = (root) => {
    const opacity = slider('Opacity of the map', '0 % shows the picture alone, 100 % the map alone.', (value) => {
      state.opacity = value / 100;
      opacity.output.textContent = `${value} %`;
      repaint();
    }, { max: 100, value: 65, step: 5, 'data-control': 'opacity' });
    opacity.output.textContent = '65 %';
    const select = element('select', { id: 'tg-colours', 'data-control': 'colours', onchange: (event) => {
      state.colours = event.target.value;
      repaint();
    } }, ...Object.keys(window.TRGBP_COLOURS).filter((name) => name !== 'diverging').map((name) => element('option', { value: name, text: name === 'jet' ? 'jet (the paper’s)' : name })));
    root.append(opacity, element('div', { class: 'tg-select' }, element('label', { for: 'tg-colours', text: 'Colours' }), select,
      element('small', { text: 'Dark is nothing, bright is most.' })), ...window.TRGBP.linkBar());
    return () => {};
  };

  views.explain = (root) => {
    const picture = element('img', { class: 'tg-picture', alt: 'no picture yet', width: 224, height: 224 });
    const seen = element('span');
    const input = element('figure', { class: 'tg-figure' }, element('div', { class: 'tg-frame' }, picture),
      element('figcaption', {}, element('strong', { text: 'The picture' }), seen));
    const maps = [figure(), figure(), figure()];
    const raw = figure();
    const own = figure();
    const facts = element('dl', { class: 'tg-facts' });
    const strip = element('div', { class: 'tg-strip', role: 'group', 'aria-label': 'All layers, the picture first' });
    let data = null;
    const layers = slider('Layer by layer', 'From the picture (0) up to the logits. Arrow keys move it.', (value) => showLayer(value), { 'data-control': 'layer' });
    root.append(element('div', { class: 'tg-row tg-grid tg-four' }, input, ...maps), layers,
      element('div', { class: 'tg-row tg-layer' }, raw, own, facts), strip);

    function showLayer(index) {
      const layer = data.layers[index];
      if (!layer) return;
      state.layer = index;
      state.followers.predict?.(index);
      raw.show(layer.raw);
      own.show(layer.own);
      layers.output.textContent = `${index} of ${data.layers.length - 1} · ${layer.name}`;
      facts.replaceChildren(...[['Layer', layer.name], ['Kind', layer.kind], ['Kernel', layer.kernel], ['Filters N', layer.N],
        ['Filter size p', layer.p], ['Map', layer.size],
        ['Rectifier behind it', layer.rectified ? 'yes' : 'no: random weights give noise around zero']].flatMap(
        ([term, value]) => [element('dt', { text: term }), element('dd', { text: String(value) })]));
      strip.querySelector('[aria-pressed="true"]')?.setAttribute('aria-pressed', 'false');
      strip.children[index]?.setAttribute('aria-pressed', 'true');
    }

    state.followers.explain = (index) => { if (data) { layers.input.value = index; showLayer(index); } };

    function thumbnail(index) {
      const canvas = element('canvas', { class: 'tg-map', width: 56, height: 56, 'aria-hidden': 'true' });
      return element('button', { type: 'button', 'aria-pressed': 'false', onclick: () => {
        layers.input.value = index;
        showLayer(index);
      } }, canvas, element('span', { text: String(index) }));
    }

    // Twelve at a time: between them the sliders answer.
    function fillStrip(shown, from = 0) {
      if (shown !== data) return;
      while (strip.children.length > data.layers.length) strip.lastChild.remove();
      data.layers.slice(from, from + 12).forEach((layer, i) => {
        const index = from + i;
        if (!strip.children[index]) strip.append(thumbnail(index));
        const button = strip.children[index];
        button.title = layer.name;
        button.setAttribute('aria-label', `Layer ${index}: ${layer.name}`);
        button.setAttribute('aria-pressed', String(index === state.layer));
        window.TRGBP.draw(button.firstChild, layer.own);
      });
      if (from + 12 < data.layers.length) setTimeout(fillStrip, 0, shown, from + 12);
    }

    return (payload) => {
      data = payload;
      picture.src = payload.picture;
      picture.alt = `The picture that is explained, ${payload.seen}`;
      seen.textContent = `${payload.seen.split(',')[0]}. Explained: ${payload.class.name}, ${percent(payload.class.probability)}.`;
      payload.panels.forEach((panel, i) => maps[i].show(panel));
      layers.input.max = payload.layers.length - 1;
      layers.input.value = state.layer;
      showLayer(state.layer);
      afterFrame(() => fillStrip(payload));
    };
  };

  views.classes = (root) => {
    const grid = element('div', { class: 'tg-row tg-grid' });
    const choices = ['the paper’s', 'conserving'].map((name, psi) => element('label', {},
      element('input', { type: 'radio', name: 'tg-psi', value: psi, 'data-control': 'psi', ...(psi === 0 ? { checked: '' } : {}), onchange: () => show(psi) }), name));
    let [shown, cards, best] = [0, [], null];
    root.append(element('div', { class: 'tg-head' }, element('p', { class: 'tg-lead', text: 'The network’s five best classes, each without what all five share.' }),
      element('fieldset', { class: 'tg-choice' }, element('legend', { text: 'ψ of TR-GBP' }), ...choices)), grid);
    function show(psi) {
      shown = psi;
      cards.forEach(([card, panels]) => card.show(panels[psi]));
    }
    return (payload) => {
      if (best?.length === payload.classes.length && best[0] === payload.classes[0]) return; // another class of the same picture: its five are the same
      best = payload.classes;
      cards = payload.classes.map((item, rank) => {
        item.pages.forEach(load);
        const title = `${rank + 1}. ${item.name}`;
        return [figure('tg-class'), item.panels.slice(1).map((panel) => ({ ...panel, title, caption: `${percent(item.probability)} · ${panel.title}` }))];
      });
      grid.replaceChildren(...cards.map(([card]) => card));
      show(shown);
    };
  };

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
        wait.textContent = window.TRGBP_TRANSLATE(text) + (share ? ` ${percent(share)}` : '');
        bar.hidden = share === null;
        bar.value = share || 0;
      },
      show: (panel) => {
        wait.textContent = '';
        bar.hidden = true;
        time.textContent = panel.seconds === null ? window.TRGBP_TRANSLATE('does not apply') : `${panel.seconds.toFixed(2)} s`;
        if (panel.src && panel.src === src) return;
        src = panel.src || '';
        if (panel.src) node.show({ ...panel, caption: about.what });
        else node.querySelector('.tg-empty').textContent = panel.empty;
      },
    };
  }

  views.compare = (root) => {
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

    state.views.comparing = (payload) => {
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

  views.stage = (root) => {
    root.append(stage);
    return () => {};
  };

  views.cascade = (root) => {
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

  window.TRGBP.views = views;

  window.TRGBP.mount = (name, root) => {
    root.replaceChildren();
    state.roots[name] = root;
    const update = views[name](root);
    state.views[name] = update;
    const source = name === 'classes' ? 'explain' : name;
    if (state.data[source]) update(state.data[source]);
  };

  const mark = (name) => `trgbp${name[0].toUpperCase()}${name.slice(1)}`;

  // What was computed for another picture or class goes; whoever wants it for this one asks for it.
  function forget(name) {
    delete state.data[name];
    delete document.body.dataset[mark(name)];
    if (name === 'cascade') state.stage = 0;
    if (state.roots[name]?.isConnected) window.TRGBP.mount(name, state.roots[name]);
  }

  // Which layer and which stage are shown is the page's state, not a view's: views come and go with their tabs.
  // A link's layer comes with every answer to that link, and is set once: the slider may have been moved since.
  function settleLayer({ layers, layer, wish }) {
    const depth = layers.length - 1;
    if (Number.isInteger(layer) && wish !== state.wish) state.layer = layer;
    else if (state.depth !== depth) state.layer = depth > 1 ? Math.round(depth * 0.7) : 0;
    state.depth = depth;
    state.wish = wish ?? state.wish;
  }

  function settleStage({ stages, run, at }) {
    if (run !== state.run) state.at = at ?? null;
    state.run = run;
    state.stage = Math.max(0, Math.min(state.at ?? Infinity, stages.length - 1));
  }

  // Stages come one by one, with the few before them; what has arrived is kept.
  const gathered = { run: null, stages: [] };
  function stagesSoFar(sent) {
    if (gathered.run !== sent.run) Object.assign(gathered, { run: sent.run, stages: [] });
    for (const stage of sent.stages) gathered.stages[stage.index] = gathered.stages[stage.index] || stage;
    const missing = Array.from(gathered.stages).findIndex((stage) => !stage);
    return { ...sent, stages: gathered.stages.slice(0, missing < 0 ? undefined : missing) };
  }

  // Show a payload, in every view that reads it, once all that it waits for is there.
  window.TRGBP.present = (name, payload, waits = []) => {
    if (name === 'explain' && state.data.explain && state.data.explain.key !== payload.key) ['cascade', 'perturb', 'foretold', 'predict'].forEach(forget);
    if (name === 'explain') settleLayer(payload);
    if (name === 'cascade') settleStage(payload);
    state.data[name] = payload;
    const show = () => {
      if (state.data[name] !== payload) return;
      state.views[name]?.(payload);
      document.body.dataset[mark(name)] = payload.key || String(payload.stages?.length ?? payload.panels?.length ?? payload.curves?.length ?? '');
      if (name === 'explain') {
        afterFrame(() => {
          if (picture) repaint();
          if (state.data.explain === payload) window.TRGBP.completed();
        });
      }
    };
    const picture = name === 'explain' && setPicture(payload.picture);
    if (picture) waits.push(picture);
    if (waits.length) Promise.all(waits).then(show);
    else show();
  };

  // The tab Classes, and what is decoded so that it is shown at once when one of the top 5 is picked; not before the first maps are shown.
  window.TRGBP.completed = () => {
    const payload = state.data.explain;
    if (!payload || document.body.dataset.trgbpExplain !== payload.key) return;
    state.views.classes?.(payload);
    payload.classes.forEach((item) => item.pages.forEach(load));
  };

  // What a carrier brings: large payloads as text, for Gradio copies what its components hold again and again.
  window.TRGBP.receive = (name, sent) => {
    const payload = typeof sent === 'string' && sent ? JSON.parse(sent) : sent;
    if (!payload || typeof payload !== 'object') return;
    if (name === 'explain') window.TRGBP.explained(payload);
    else if (name === 'rest') window.TRGBP.complete(payload);
    else window.TRGBP.present(name, name === 'cascade' ? stagesSoFar(payload) : payload);
  };
})();
