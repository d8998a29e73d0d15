// The panels of the tabs Explain and Classes, and the toolbar above all tabs.
(() => {
  const { state, panels, element, figure, slider, percent, repaint, load, afterFrame } = window.TRGBP;

  panels.toolbar = (root) => {
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

  panels.explain = (root) => {
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
        ['Rectifier follows', layer.rectified ? 'yes' : 'no: random weights give noise around zero']].flatMap(
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

  panels.classes = (root) => {
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
})();
