// The panels of the tab Sanity check: every map beside the trained network's, stage by stage, and who noticed.
(() => {
  const { state, panels, element, figure, slider, scale, percent, pixels, afterFrame } = window.TRGBP;
  const SVG = 'http://www.w3.org/2000/svg';
  const STEP = 350; // milliseconds between two stages when they are played

  // A map that is less alike than the first has noticed that the weights are gone, one at least as alike as the second has not.
  const [NOTICED, UNNOTICED] = [0.5, 0.9];
  const NAMES = { own: 'TR-GBP', conserving: 'TR-GBP, conserving ψ', raw: 'R̃ of TR-GBP', gbp: 'Guided backprop' };

  const alike = (stage, id) => stage.similarity[id].spearman;
  const words = (value) => `${Math.round(100 * Math.max(0, value))} % alike`;
  const listed = (all) => (all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`);
  const name = (panel) => NAMES[panel.id] || panel.title;

  function outcome(stage, panel) {
    if (panel.empty) return 'empty';
    const value = alike(stage, panel.id);
    if (value === null) return 'unknown';
    return value < NOTICED ? 'noticed' : value < UNNOTICED ? 'little' : 'unnoticed';
  }

  function caption(stage, panel, label) {
    const said = { empty: `Empty: it no longer explains ${label}.`, unknown: 'The trained network’s map is empty: there is nothing to compare with.' };
    const noticed = { noticed: 'it noticed', little: 'it noticed a little', unnoticed: 'it did not notice' };
    const found = outcome(stage, panel);
    return said[found] || (stage.index ? `${words(alike(stage, panel.id))}: ${noticed[found]}.` : 'no layer is random yet');
  }

  // One method is said to have done it with its number in the sentence, several with theirs in brackets.
  function said(stage, found, one, many) {
    const all = stage.panels.filter((panel) => outcome(stage, panel) === found);
    if (!all.length) return '';
    if (all.length === 1) return ` ${name(all[0])} is ${found === 'unnoticed' ? 'still ' : ''}${words(alike(stage, all[0].id))}: it ${one}.`;
    return ` ${listed(all.map((panel) => `${name(panel)} (${words(alike(stage, panel.id))})`))} ${many}.`;
  }

  // The verdict in words: what the network says by now, who did not notice, who did, and whose map is empty.
  function verdict(stage, trained, label) {
    if (!stage.index) return `The trained network says ${stage.top.name}, ${percent(stage.top.probability)}. No layer is random yet.`;
    const still = stage.top.index === trained.top.index ? 'still says' : 'says';
    const empty = stage.panels.filter((panel) => panel.empty);
    const [maps, explain] = empty.length > 1 ? ['maps', 'are empty: they no longer explain'] : ['map', 'is empty: it no longer explains'];
    const lost = empty.length ? ` The ${maps} of ${listed(empty.map(name))} ${explain} ${label}.` : '';
    return `After ${stage.index} ${stage.index > 1 ? 'layers' : 'layer'} the network ${still} ${stage.top.name}.${
      said(stage, 'unnoticed', 'did not notice', 'did not notice')}${said(stage, 'little', 'noticed a little', 'noticed a little')}${
      said(stage, 'noticed', 'noticed', 'noticed')}${lost}`;
  }

  // How alike every map is after each number of layers, on an axis of all layers from the start.
  function chart(stages) {
    const { total } = stages[0];
    const last = stages.at(-1);
    const [width, left, right, top, lowest, row] = [640, 52, 8, 8, 150, 6];
    const shelf = lowest + 14; // below the axis: where a map is empty, and where the network says something else
    const under = shelf + row * last.panels.length + 6;
    const height = under + 52;
    const x = (index) => left + ((width - left - right) * index) / Math.max(1, total);
    const y = (value) => top + (lowest - top) * (1 - Math.max(0, value));
    const svg = document.createElementNS(SVG, 'svg');
    const heard = last.panels.map((panel) => `${name(panel)} ${panel.empty ? 'empty' : alike(last, panel.id) === null ? 'not comparable' : words(alike(last, panel.id))}`);
    Object.entries({ viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `How alike the maps are to the trained network’s. After ${last.index} of ${total} layers: ${heard.join(', ')}` })
      .forEach(([key, value]) => svg.setAttribute(key, value));
    const text = (at, height_, word, anchor = 'end') => `<text x="${at}" y="${height_}" text-anchor="${anchor}">${word}</text>`;
    const box = (stage, at, tall, kind) => `<rect class="${kind}" x="${x(stage.index - 0.5)}" width="${x(1) - x(0)}" y="${at}" height="${tall}"/>`;
    const grid = [0, NOTICED, UNNOTICED, 1].map((v) => `<line class="tg-gridline${v === NOTICED || v === UNNOTICED ? ' tg-limit' : ''}" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/>${text(left - 5, y(v) + 4, `${Math.round(100 * v)} %`)}`);
    const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * total)).map((index) => text(x(index), height - 22, index, 'middle'));
    const lines = last.panels.map(({ id }) => stretches(stages, id).map((points) => `<polyline class="tg-curve tg-${id}" points="${
      points.map((stage) => `${x(stage.index).toFixed(1)},${y(alike(stage, id)).toFixed(1)}`).join(' ')}"/>${points.length > 1 ? '' : `<circle class="tg-dot tg-${id}" cx="${x(points[0].index)}" cy="${y(alike(points[0], id))}" r="2.5"/>`}`).join(''));
    const empty = last.panels.map(({ id }, i) => stages.filter((stage) => stage.panels.some((panel) => panel.id === id && panel.empty))
      .map((stage) => box(stage, shelf + row * i, row - 1, `tg-dot tg-${id}`)).join(''));
    const others = stages.filter((stage) => stage.top.index !== stages[0].top.index).map((stage) => box(stage, under, row, 'tg-otherwise'));
    svg.innerHTML = `${grid.join('')}${marks.join('')}${text(left - 5, shelf + 14, 'empty')}${empty.join('')}${text(left - 5, under + 8, 'other')}${others.join('')}${lines.join('')}<line class="tg-now" x1="0" x2="0" y1="${top}" y2="${under + row}"/>${text((width + left) / 2, height - 5, 'layers with random weights, from the last layer down', 'middle')}`;
    svg.point = (index) => svg.querySelectorAll('.tg-now').forEach((line) => { line.setAttribute('x1', x(index)); line.setAttribute('x2', x(index)); });
    return svg;
  }

  // A curve is broken where its map is empty.
  function stretches(stages, id) {
    const found = [[]];
    for (const stage of stages) {
      if (stage.similarity[id] && alike(stage, id) !== null) found.at(-1).push(stage);
      else if (found.at(-1).length) found.push([]);
    }
    return found.filter((points) => points.length);
  }

  // A map under words of this tab; the panel itself is handed on, for its decoded pixels are kept with it.
  function put(node, panel, title, said) {
    node.show(panel);
    node.querySelector('figcaption strong').textContent = title;
    node.querySelector('figcaption span').textContent = said;
  }

  // A method's two maps.
  function story(id) {
    const [before, after] = [figure('tg-before'), figure('tg-after')];
    before.dataset.slider = ''; // no slider moves it
    return { node: element('section', { class: 'tg-story', 'data-method': id }, after, before), before, after };
  }

  // The stage slider stands beside the buttons, in a place of its own; it moves what the tab shows.
  const stage = slider('Layers randomised', '0 is the trained network; each step gives one more layer random weights, from the last layer down.', (value) => stage.moved(value),
    { 'data-control': 'stage' });
  const play = element('button', { type: 'button', class: 'tg-button', 'data-control': 'play', text: 'Play' });
  const ready = element('i', { class: 'tg-ready' });
  stage.input.after(element('div', { class: 'tg-arrived', 'aria-hidden': 'true' }, ready));

  let timer = 0; // of the stages that are being played
  function pause() {
    clearInterval(timer);
    timer = 0;
    play.textContent = 'Play';
  }

  panels.stage = (root) => {
    root.append(element('div', { class: 'tg-playing' }, play, stage));
    return () => {};
  };

  panels.cascade = (root) => {
    const stories = {};
    const said = element('p', { class: 'tg-verdict', role: 'status', text: 'The check has started: first the maps of the trained network, then those with more and more random layers.' });
    const note = element('p', { class: 'tg-lead' });
    const row = element('div', { class: 'tg-stories', 'data-slider': 'stage' });
    const plot = element('div', { class: 'tg-plots' });
    let [stages, about, drawn] = [[], {}, null];
    pause();
    Object.assign(stage.input, { max: 0, value: 0 });
    Object.assign(stage.output, { textContent: '' });
    ready.style.width = '0';
    root.append(said, note, row, scale(false), plot);

    const newest = () => stages.length - 1;
    const complete = () => stages.length > 0 && stages[newest()].index === stages[0].total;

    function go(index) {
      state.at = index >= newest() && !complete() ? null : index;
      show(Math.min(index, newest()));
    }
    stage.moved = (value) => {
      pause();
      go(value);
      stage.input.value = Math.max(0, state.stage); // no further than what has arrived
    };

    function next() {
      if (!root.isConnected || (state.stage >= newest() && complete())) pause();
      else if (state.stage < newest()) { state.at = state.stage + 1; show(state.at); }
    }
    play.onclick = () => {
      if (timer) { state.at = state.stage; pause(); return; }
      if (!stages.length) return;
      if (state.stage >= newest()) show(state.at = 0);
      timer = setInterval(next, STEP);
      play.textContent = 'Pause';
    };

    function curves() {
      if (plot.count !== stages.length) {
        plot.count = stages.length;
        drawn = chart(stages);
        const keys = stages[0].panels.map((panel) => element('span', { class: `tg-key tg-${panel.id}`, text: name(panel) }));
        const explained = 'How alike each map is to the trained network’s (Spearman’s rank correlation). Under 50 % it has noticed, from 90 % on it has not. The bars below: where a map is empty, and where the network’s best class is another one.';
        plot.replaceChildren(element('p', { class: 'tg-legend' }, ...keys), element('figure', { class: 'tg-plot tg-wide' }, drawn, element('figcaption', { text: explained })));
      }
      drawn.point(stages[state.stage].index);
    }

    function show(index) {
      const current = stages[index];
      if (!current) return;
      state.stage = index;
      row.style.setProperty('--tg-count', current.panels.length);
      for (const panel of current.panels) {
        const known = stories[panel.id] || (stories[panel.id] = story(panel.id));
        if (!known.node.isConnected) {
          row.append(known.node);
          put(known.before, stages[0].panels.find((one) => one.id === panel.id), 'trained network', '');
        }
        put(known.after, panel, name(panel), caption(current, panel, about.class));
        known.node.dataset.outcome = current.index ? outcome(current, panel) : '';
      }
      stage.input.value = index;
      stage.output.textContent = `${current.index} of ${current.total} · ${current.index ? `last: ${current.name}` : 'the trained network'}`;
      said.textContent = verdict(current, stages[0], about.class);
      note.textContent = current.note;
      curves();
    }

    return (payload) => {
      const restarted = payload.stages.length < stages.length || (stages.length && payload.run !== about.run);
      const known = restarted ? 0 : stages.length;
      [stages, about] = [payload.stages, payload];
      if (restarted) {
        pause();
        plot.count = 0;
        row.replaceChildren();
        Object.keys(stories).forEach((key) => delete stories[key]);
      }
      if (!stages.length) return;
      stage.input.max = stages[0].total;
      ready.style.width = `${(100 * stages[newest()].index) / Math.max(1, stages[0].total)}%`;
      show(state.stage);
      afterFrame(() => stages.slice(known).forEach((one) => one.panels.forEach((panel) => pixels(panel))));
    };
  };

  // What the page has whole need not be sent again.
  window.TRGBP.wholeRun = () => {
    const run = state.data.cascade;
    return run?.stages.length && run.stages.at(-1).index === run.stages[0].total ? run.id : '';
  };
})();
