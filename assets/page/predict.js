// The panels of the tab Predict: a verdict in words; and its details, where predictions are drawn first and what is measured over them.
(() => {
  const { state, element, figure, slider } = window.TRGBP;
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const fixed = (value) => (value === null || value === undefined ? '–' : value.toFixed(2).replace('-', '−'));
  const [HEIGHT, LEFT, RIGHT, BOTTOM, TOP] = [190, 42, 10, 34, 8];

  // A chart of plain SVG. x and y: { low, high, ticks: [[value, word]], name, log }; draw: what lies over the grid, as SVG text.
  function chart(title, label, x, y, draw, width = 420) {
    const place = (axis, from, to) => (value) => {
      const of = axis.log ? Math.log : (v) => v;
      const inside = Math.min(axis.high, Math.max(axis.low, value === null || value === undefined ? Infinity : value));
      return from + ((to - from) * (of(inside) - of(axis.low))) / (of(axis.high) - of(axis.low) || 1);
    };
    const [px, py] = [place(x, LEFT, width - RIGHT), place(y, HEIGHT - BOTTOM, TOP)];
    const grid = y.ticks.map(([v, word]) => `<line class="tg-gridline" x1="${LEFT}" x2="${width - RIGHT}" y1="${py(v)}" y2="${py(v)}"/><text x="${LEFT - 5}" y="${py(v) + 4}" text-anchor="end">${word}</text>`);
    const anchor = (i) => (i === 0 ? 'start' : i === x.ticks.length - 1 ? 'end' : 'middle');
    const marks = x.ticks.map(([v, word], i) => `<text x="${px(v)}" y="${HEIGHT - BOTTOM + 14}" text-anchor="${anchor(i)}">${word}</text>`);
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    Object.entries({ viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': label }).forEach(([key, value]) => svg.setAttribute(key, value));
    svg.innerHTML = `${grid.join('')}${marks.join('')}${draw(px, py)}<text x="${(width + LEFT) / 2}" y="${HEIGHT - 3}" text-anchor="middle">${x.name}</text>`;
    return element('figure', { class: 'tg-plot' }, svg, element('figcaption', { text: title }));
  }

  const SMALL = 250;
  const line = (kind, points) => `<polyline class="tg-curve tg-${kind}" points="${points.map((p) => p.map((v) => v.toFixed(1)).join(',')).join(' ')}"/>`;
  const dot = (kind, x, y) => `<circle class="tg-dot tg-${kind}" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.2"/>`;
  const now = (x) => `<line class="tg-now" x1="${x}" x2="${x}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`;
  const dots = (layers, found, value, px, py) => (found ? found.map((m, i) => dot(layers[i].rectified ? 'seen' : 'linear', px(i + 1), py(value(m)))).join('') : '');
  const key = (kind, text) => element('span', { class: `tg-key tg-${kind}`, text });
  const along = (count) => ({ low: 1, high: Math.max(2, count), name: 'layer, towards the logits', ticks: [1, Math.round(count / 2), count].map((v) => [v, v]) });
  const measuredKeys = () => [key('seen', 'measured, a ReLU follows'), key('linear', 'measured, no ReLU follows')];

  function noise(layers, found, at) {
    const spoken = layers.filter((l) => l.noise);
    const mean = (values) => Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / (values.length || 1));
    const factor = mean(spoken.map((l) => l.noise)) / mean(spoken.map((l) => l.rule));
    const y = { low: 0.03, high: 30, log: true, ticks: [[0.1, '0.1'], [1, '1'], [10, '10']] };
    const label = `Noise ε of each layer. Predicted for layer ${at}: ${fixed(layers[at - 1].noise)}${found ? `; measured: ${fixed(found[at - 1].noise)}` : ''}`;
    return chart('Noise ε: at 1 it is as strong as the signal; at the top no signal was found', label, along(layers.length), y, (px, py) =>
      line('rule', layers.map((l, i) => [px(i + 1), py(factor * l.rule)])) + line('own', layers.map((l, i) => [px(i + 1), py(l.noise)])) + dots(layers, found, (m) => m.noise, px, py) + now(px(at)));
  }

  function cosines(layers, found, at) {
    const y = { low: -1, high: 1, ticks: [[-1, '−1'], [0, '0'], [1, '1']] };
    const label = `Cosine of each layer's mean map with its prediction. Expected for layer ${at}: ${fixed((found || layers)[at - 1].expected)}${found ? `; measured: ${fixed(found[at - 1].cosine)}` : ''}`;
    return chart('How well it fits (cosine; 1 is exactly)', label, along(layers.length), y, (px, py) =>
      line('own', (found || layers).map((l, i) => [px(i + 1), py(l.expected)])) + dots(layers, found, (m) => m.cosine ?? 0, px, py) + now(px(at)), SMALL);
  }

  function profiles(layer, found) {
    const predicted = found ? found.predicted : layer.profile;
    const values = [...predicted, ...(found ? found.profile.flatMap((v, i) => [v - found.error[i], v + found.error[i]]) : [])];
    const [low, high] = [Math.min(0, ...values), Math.max(...values, 1e-12)];
    const x = { low: 0, high: Math.max(1, predicted.length - 1), name: 'ring', ticks: [[0, 'border'], [Math.max(1, predicted.length - 1), 'centre']] };
    const word = (v) => (Math.abs(v) >= 0.01 ? v.toFixed(2) : v.toExponential(0)).replace('-', '−');
    const y = { low, high, ticks: [[0, '0'], [high, word(high)]] };
    const bars = (px, py) => (found ? found.profile.map((v, i) => `<line class="tg-error" x1="${px(i)}" x2="${px(i)}" y1="${py(v - found.error[i])}" y2="${py(v + found.error[i])}"/>${dot(layer.rectified ? 'seen' : 'linear', px(i), py(v))}`).join('') : '');
    return chart(found ? 'From border to centre; bars: standard error' : 'The predicted map, border to centre', `Mean over rings from the border to the centre: predicted ${predicted.map(fixed).join(', ')}`, x, y,
      (px, py) => line('own', predicted.map((v, i) => [px(i), py(v)])) + bars(px, py), SMALL);
  }

  // The network's errors against the edge's share; the dot is the picture, at the very number of the verdict.
  function errors(frame) {
    const high = Math.min(1, Math.max(0.6, frame.ibd + 0.05));
    const x = { low: 0, high, name: 'share of the map at the edge', ticks: [0, 0.2, 0.4, 0.6, 0.8, 1].filter((v) => v <= high).map((v) => [v, percent(v)]) };
    const y = { low: 0, high: 1, ticks: [[0, '0 %'], [0.5, '50 %'], [1, '100 %']] };
    const inside = frame.curve.filter(([edge]) => edge <= high);
    const at = inside.filter(([edge]) => edge <= frame.ibd + 1e-9).at(-1) || inside[0];
    const band = (px, py) => (inside.length ? `<polygon class="tg-band" points="${[...inside.map(([e, , low]) => [e, low]), ...inside.map(([e, , , up]) => [e, up]).reverse()].map(([e, v]) => `${px(e)},${py(v)}`).join(' ')}"/>${line('own', inside.map(([e, v]) => [px(e), py(v)]))}` : '');
    const mark = (px, py) => (at && frame.ibd <= frame.curve.at(-1)[0] + 0.01 ? `<circle class="tg-dot tg-mark" cx="${px(frame.ibd)}" cy="${py(at[1])}" r="6" data-share="${at[1]}"/>` : '');
    return chart('How often the network was wrong on real pictures with at least this much at the edge', frame.said.slice(0, 3).join(' '), x, y,
      (px, py) => band(px, py) + now(px(frame.expected)) + mark(px, py));
  }

  function agreement(found, trained) {
    const head = ['Layers', 'noise: moments', 'noise: √(p/N)', 'cosine', 'expected', 'uniform map'].map((text, i) => element('th', { scope: 'col', class: i ? 'tg-number' : null, text }));
    const names = { all: 'all', rectified: 'rectified', linear: 'linear' };
    const lines = Object.entries(found.agreement).map(([kind, of]) => element('tr', {}, element('th', { scope: 'row', text: `${names[kind]} (${of.layers})` }),
      ...[of.moments, of.rule, of.cosine, of.expected, of.uniform].map((v) => element('td', { class: 'tg-number', text: fixed(v) }))));
    const own = element('p', { class: 'tg-lead', text: `All layers together: cosine ${found.total?.toFixed(4)} with the prediction, ${found.total_uniform?.toFixed(4)} with a uniform map. The trained network’s own maps, noise at their finest scale: rank correlation ${fixed(trained.moments)} with the moments, ${fixed(trained.rule)} with √(p/N); edges of the picture count as noise there.` });
    return [element('table', { class: 'tg-table' }, element('caption', { text: 'Rank correlation of measured noise with its predictions; median cosine of the mean maps' }), element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...lines)), own];
  }

  const card = (title, text, ...children) => element('section', {}, element('h2', { text: title }), element('p', { class: 'tg-lead', text }), ...children);
  const legend = (...keys) => element('p', { class: 'tg-legend' }, ...keys);

  // How much of the map lies at the edge, as a bar with a mark for what theory expects.
  function share(frame) {
    const [bar, expected] = [element('i', { class: 'tg-bar' }), element('i', { class: 'tg-even' })];
    bar.style.width = `${100 * frame.ibd}%`;
    expected.style.left = `${100 * frame.expected}%`;
    return element('div', { class: 'tg-score' }, element('span', { text: 'at the edge' }), element('div', { class: 'tg-track' }, bar, expected),
      element('b', { class: 'tg-number', text: percent(frame.ibd) }));
  }

  const EDGE = 'Fewer filters look at the edge of a picture than at its middle, so a map should be weak there. Where it is strong, doubt the network’s answer rather than the map. The edge is the outermost fourteenth of each side, of 224 pixels 16; the mark on the bar is what theory expects.';

  window.TRGBP.panels.predict = (root) => {
    const verdict = element('section', { class: 'tg-answer-card', role: 'status' });
    root.append(element('h2', { class: 'tg-question', text: 'Does the map do what theory predicts?' }), element('p', { class: 'tg-lead', text: EDGE }), verdict);
    verdict.append(element('p', { class: 'tg-lead', text: 'Being computed: how much of the map lies at the edge, how much theory expects, and how often the network was wrong on pictures with such an edge.' }));
    state.updates.predict_details?.(null);
    return (payload) => {
      const { edge } = payload;
      const other = edge.picked ? [`Of the class that is explained, ${edge.picked.name}, ${percent(edge.picked.ibd)} of the map lies at the edge; all this is about the network’s best class.`] : [];
      const [judged, ...facts] = [...edge.said, ...other];
      verdict.dataset.strong = edge.strong ? 'yes' : 'no';
      verdict.replaceChildren(element('p', { class: 'tg-verdict', text: judged }), share(edge), ...facts.map((text) => element('p', { class: 'tg-lead', text })));
      state.updates.predict_details?.(payload);
    };
  };

  window.TRGBP.panels.predict_details = (root) => {
    const [before, after] = [figure(), figure()];
    const [waiting, plots, noisePlot, table, errorPlot] = ['tg-empty', 'tg-plots', 'tg-plots', 'tg-agreement', 'tg-plots'].map((name) => element('div', { class: name }));
    const layers = slider('Layer by layer', 'From the first layer up to the logits. Arrow keys move it.', (value) => (state.followers.explain ? state.followers.explain(value) : show(value)), { min: 1, 'data-control': 'predict-layer' });
    let [predicted, found] = [null, null];
    root.append(element('div', { class: 'tg-predict-cards' },
      card('Randomised weights', 'With random weights, the map of a layer only shows how many filters of the layers above cover each place. Where no ReLU follows the layer, it is noise around zero.', layers,
        element('div', { class: 'tg-row tg-layer tg-two' }, before, after, plots), legend(key('own', 'predicted'), ...measuredKeys())),
      card('Noise', 'How much of a layer’s map is random. The more weights a filter has (p), the noisier; the more filters (N), the less: the paper’s rule is ε ∝ √(p/N). Means and variances, followed from layer to layer, predict it more exactly.', noisePlot,
        legend(key('own', 'predicted from means and variances'), key('rule', 'the paper’s √(p/N), up to a factor'), ...measuredKeys()), table),
      card('Edge', 'How often the network was wrong with at least this much at the edge: the verdict above reads this curve.', errorPlot,
        legend(key('own', 'wrong answers, with 95 % band'), key('now', 'expected without error'), key('mark', 'this picture')))));
    after.querySelector('strong').textContent = 'Measured';
    after.querySelector('.tg-frame').append(waiting);

    function show(index) {
      const layer = predicted.layers[index - 1];
      const drawn = found?.random?.layers;
      layers.output.textContent = `${index} of ${predicted.layers.length} · ${layer.name}${layer.rectified ? '' : ' · no ReLU follows'}`;
      before.show({ ...layer.map, alone: true });
      waiting.textContent = drawn ? '' : 'Not drawn yet: say what you expect, then press “Draw random weights”.';
      if (drawn) after.show({ ...drawn[index - 1].map, alone: true });
      else { after.clear(); after.querySelector('figcaption span').textContent = ''; }
      plots.replaceChildren(profiles(layer, drawn?.[index - 1]), cosines(predicted.layers, drawn, index));
      noisePlot.replaceChildren(noise(predicted.layers, drawn, index));
    }

    function measured(payload) {
      if (!predicted || payload.key !== predicted.key) return;
      found = payload;
      if (found.random) table.replaceChildren(...agreement(found.random, found.trained));
      show(Number(layers.input.value));
    }

    function details(payload) {
      [predicted, found] = [payload, null];
      for (const part of [table, errorPlot, plots, noisePlot]) part.replaceChildren();
      if (!payload) { before.clear(); after.clear(); waiting.textContent = ''; return; }
      layers.input.max = payload.layers.length;
      layers.input.value = Math.min(Math.max(1, state.layer), payload.layers.length);
      const none = element('p', { class: 'tg-lead', text: 'No table of real pictures comes with this network.' });
      errorPlot.replaceChildren(payload.edge.curve.length ? errors(payload.edge) : none);
      show(Number(layers.input.value));
      if (state.data.predict_measured) measured(state.data.predict_measured);
    }

    state.followers.predict = (index) => {
      if (!predicted) return;
      layers.input.value = Math.min(Math.max(1, index), predicted.layers.length);
      show(Number(layers.input.value));
    };
    state.updates.predict_measured = measured;
    if (state.data.predict) details(state.data.predict);
    return details;
  };
})();
