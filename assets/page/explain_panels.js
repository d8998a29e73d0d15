// The panel of the tab Explain, and what stands above all tabs: the network's answer, the toolbar, and where to begin.
(() => {
  const { state, panels, element, figure, slider, scale, percent, repaint, draw, load, afterFrame } = window.TRGBP;
  const MOST = { inferno: 'Yellow', viridis: 'Yellow', cividis: 'Yellow', gray: 'White', jet: 'Red' };
  const KINDS = { conv: 'convolution', linear: 'fully connected', batch_norm: 'batch norm', rectifier: 'ReLU6', constant: 'constant' };
  const PSI = [['smooth', 'As in the paper: the coarse upper layers count most.'], ['sharp', 'Layers and pixels count by what they contribute to the score (conserving ψ). A pixel’s part is its value times its gradient; until November 2026 it was the gradient alone, which is measured in another unit than the layers’ parts and in some networks outweighed them all.']];

  panels.starts = (root) => {
    const button = (text, control, onclick) => element('button', { type: 'button', class: 'tg-button', 'data-control': control, text, onclick });
    root.classList.add('tg-starts');
    root.append(button('New here? Take lesson 1', 'lesson-one', () => window.TRGBP.wish('?lesson=1')), window.TRGBP.inviteButton(), button('Present', 'present', () => window.TRGBP.presentation(!document.body.classList.contains('tg-presenting'))));
    return () => {};
  };

  panels.toolbar = (root) => {
    const opacity = slider('Opacity of the map', 'Where the map is zero, you see the picture.', (value) => {
      state.opacity = value / 100;
      opacity.output.textContent = `${value} %`;
      repaint();
    }, { max: 100, value: Math.round(100 * state.opacity), step: 5, 'data-control': 'opacity' });
    opacity.output.textContent = `${opacity.input.value} %`;
    const meaning = element('small');
    const explain = () => { meaning.textContent = `${MOST[state.colours]}: most; clear: nothing.`; };
    const select = element('select', { id: 'tg-colours', 'data-control': 'colours', onchange: (event) => {
      state.colours = event.target.value;
      explain();
      repaint();
    } }, ...Object.keys(window.TRGBP_COLOURS).filter((name) => name !== 'diverging').map((name) => element('option', { value: name, text: name === 'jet' ? 'jet (the paper’s)' : name })));
    select.value = state.colours;
    explain();
    root.append(opacity, element('div', { class: 'tg-select' }, element('label', { for: 'tg-colours', text: 'Colours' }), select, meaning), ...window.TRGBP.linkBar());
    return () => {};
  };

  // The five best classes, each a button that explains it.
  panels.answer = (root) => {
    root.classList.add('tg-best');
    root.setAttribute('role', 'group');
    root.setAttribute('aria-label', 'The network’s best classes');
    const make = () => {
      const [name, bar, number] = [element('span', { class: 'tg-name' }), element('i', { class: 'tg-bar' }), element('span', { class: 'tg-number' })];
      const button = element('button', { type: 'button', class: 'tg-answer', onclick: () => {
        if (state.live) { state.live(Number(button.dataset.class)); return; } // the strip shows what the camera sees
        window.TRGBP.pick(button.dataset.class);
        window.TRGBP.choose(button.dataset.class);
      } }, name, number, element('span', { class: 'tg-track' }, bar));
      button.show = (answer, chosen) => {
        Object.assign(button.dataset, { class: answer.index, speaks: '' }); // which of two classes it is, ratherThan says
        button.title = answer.name;
        button.setAttribute('aria-pressed', String(chosen));
        name.textContent = answer.name;
        number.textContent = percent(answer.probability);
        bar.style.width = `${100 * answer.probability}%`;
      };
      return button;
    };
    return ({ answers, class: chosen }) => {
      while (root.children.length < answers.length) root.append(make());
      while (root.children.length > answers.length) root.lastChild.remove();
      answers.forEach((answer, i) => root.children[i].show(answer, answer.index === chosen.index));
      root.dataset.chosen = answers.some((answer) => answer.index === chosen.index) ? 'best' : 'other';
    };
  };

  // smooth or sharp: which enlargement ψ the maps of TR-GBP are made with.
  function switcher(changed) {
    const help = element('small');
    const set = (psi) => {
      state.psi = psi;
      help.textContent = PSI[psi][1];
    };
    const choices = PSI.map(([name], psi) => element('label', {}, element('input', { type: 'radio', name: 'tg-psi', value: psi, 'data-control': 'psi',
      ...(psi === state.psi ? { checked: '' } : {}), onchange: () => { set(psi); changed(); } }), name));
    set(state.psi);
    return element('fieldset', { class: 'tg-switch' }, element('legend', { text: 'Map' }), ...choices, help);
  }

  // A part that is closed at first; what it shows is painted once it is open.
  function folded(name, summary, ...children) {
    const node = element('details', { class: 'tg-fold', 'data-fold': name }, element('summary', { text: summary }), ...children);
    node.addEventListener('toggle', () => {
      if (node.open) node.querySelectorAll('canvas.tg-map').forEach((canvas) => { if (canvas.panel) draw(canvas, canvas.panel); });
    });
    return node;
  }

  // Eqs. 8 to 10 as the tab Learn has received them, without the names by which that tab links to them.
  function formulas() {
    const node = element('div', { class: 'tg-formulas' });
    node.fill = () => {
      if (node.children.length || !state.data.learn) return;
      node.innerHTML = state.data.learn.equations.filter((html) => /tg-eq-(8|9|10)"/.test(html)).join('').replace(/ id="[^"]*"/g, '');
    };
    return node;
  }

  // The strip of all layers' maps; `picked` is called with the one that is clicked.
  function stripOfLayers(picked) {
    const strip = element('div', { class: 'tg-strip', role: 'group', 'aria-label': 'All layers, the picture first' });
    let layers = [];
    const thumbnail = (index) => element('button', { type: 'button', 'aria-pressed': 'false', onclick: () => picked(index) },
      element('canvas', { class: 'tg-map', width: 56, height: 56, 'aria-hidden': 'true' }), element('span', { text: String(index) }));
    strip.mark = (index) => {
      strip.querySelector('[aria-pressed="true"]')?.setAttribute('aria-pressed', 'false');
      const button = strip.children[index];
      if (!button) return;
      button.setAttribute('aria-pressed', 'true');
      strip.scrollLeft = button.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2;
    };
    let most = null;
    strip.most = (index = most) => {
      most = index;
      strip.querySelector('.tg-most')?.classList.remove('tg-most');
      strip.children[most]?.classList.add('tg-most');
    };
    // Twelve at a time: between them the sliders answer.
    strip.fill = (shown, from = 0) => {
      if (!from) layers = shown;
      if (shown !== layers) return;
      while (strip.children.length > layers.length) strip.lastChild.remove();
      layers.slice(from, from + 12).forEach((layer, i) => {
        const index = from + i;
        if (!strip.children[index]) strip.append(thumbnail(index));
        const button = strip.children[index];
        button.title = layer.name;
        button.setAttribute('aria-label', `Layer ${index}: ${layer.name}`);
        draw(button.firstChild, layer.own);
      });
      if (from + 12 < layers.length) setTimeout(strip.fill, 0, shown, from + 12);
      else { strip.mark(state.layer); strip.most(); }
    };
    return strip;
  }

  // Look inside: what all classes share, and the part of each layer.
  function inside() {
    const [raw, layerRaw, layerOwn] = [figure(), figure(), figure()];
    const facts = element('dl', { class: 'tg-facts' });
    const equations = formulas();
    const strip = stripOfLayers((index) => { layers.input.value = index; show(index); });
    const layers = slider('Layer by layer', 'From the picture (0) up to the logits. Arrow keys move it.', (value) => show(value), { 'data-control': 'layer' });
    const node = folded('inside', 'Look inside: the part of every layer, and the formulas',
      layers, element('div', { class: 'tg-row tg-layer tg-layers', 'data-slider': 'layer' }, layerRaw, layerOwn, facts), strip,
      element('div', { class: 'tg-row tg-layer', 'data-slider': '' }, raw, equations));
    node.addEventListener('toggle', () => { equations.fill(); strip.mark(state.layer); });
    let data = null;

    function show(index) {
      const layer = data?.layers[index];
      if (!layer) return;
      state.layer = index;
      state.followers.predict?.(index);
      layerRaw.show(layer.raw);
      layerOwn.show(layer.own);
      layers.output.textContent = `${index} of ${data.layers.length - 1}`;
      const follows = { true: 'yes', false: 'no, so theory predicts little of this map', null: '–' }[layer.rectified];
      facts.replaceChildren(...[['Name in the network', layer.name], ['Kind of layer', KINDS[layer.kind] || layer.kind], ['Filters (N)', layer.N],
        ['Each looks at (kernel)', layer.kernel], ['Weights in each (p)', layer.p], ['Places in the map', layer.size], ['A ReLU follows', follows]].flatMap(
        ([term, value]) => [element('dt', { text: term }), element('dd', { text: String(value) })]));
      strip.mark(index);
    }

    // Marks the layer whose part of a place is the largest; null for none.
    const tick = element('i', { class: 'tg-tick', hidden: '', title: 'the largest part of the box' });
    layers.input.after(tick);
    node.mark = (most) => {
      tick.hidden = most === null;
      tick.style.setProperty('--tg-at', most === null ? 0 : most / (state.data.explain.layers.length - 1 || 1));
      strip.most(most);
    };
    node.at = (index) => {
      node.open = true;
      layers.input.value = index;
      show(index);
      layers.input.focus();
      node.scrollIntoView({ block: 'start' });
    };
    state.followers.explain = (index) => { layers.input.value = index; show(index); };
    node.show = (payload) => {
      data = payload;
      raw.show(payload.panels[0]);
      layers.input.max = payload.layers.length - 1;
      layers.input.value = state.layer;
      show(state.layer);
      afterFrame(() => strip.fill(payload.layers));
    };
    return node;
  }

  // The five best classes side by side, each without what all five share.
  function sideBySide() {
    const grid = element('div', { class: 'tg-row tg-grid', 'data-slider': '' });
    const node = folded('classes', 'The best classes side by side', grid);
    node.id = 'tg-classes';
    let [cards, best] = [[], null];
    node.redraw = () => cards.forEach(([card, panels]) => card.show(panels[state.psi]));
    node.show = ({ classes }) => {
      if (best?.length === classes.length && best[0] === classes[0]) return; // another class of the same picture: its five are the same
      best = classes;
      cards = classes.map((item, rank) => {
        item.pages.forEach(load);
        const title = `${rank + 1}. ${item.name}`;
        return [figure('tg-class'), item.panels.slice(1).map((panel) => ({ ...panel, title, caption: percent(item.probability) }))];
      });
      grid.replaceChildren(...cards.map(([card]) => card));
      node.redraw();
    };
    return node;
  }

  panels.explain = (root) => {
    const picture = element('img', { class: 'tg-picture', alt: '', width: 224, height: 224 });
    const seen = element('span');
    const input = element('figure', { class: 'tg-figure' }, element('div', { class: 'tg-frame' }, picture),
      element('figcaption', {}, element('strong', { text: 'The picture' }), seen));
    const [map, look, classes, rather, one] = [figure('tg-main', 'dblclick'), inside(), sideBySide(), window.TRGBP.ratherThan(), scale(false)];
    const who = window.TRGBP.whoSaysSo(map, look);
    let data = null;
    let shown = null;
    const show = () => {
      if (!data) return;
      const { class: chosen, panels: found } = data;
      const pair = window.TRGBP.contrast();
      const panel = (pair ? pair.panels : found.slice(1))[state.psi];
      if (panel !== shown) {
        shown = panel;
        map.show(pair ? panel : { ...panel, title: `${chosen.name}, ${percent(chosen.probability)}`, caption: 'The coloured places count for this class.' });
        classes.redraw();
      }
      rather.show(data);
      one.hidden = !rather.colours.hidden;
      who.show();
    };
    root.append(element('div', { class: 'tg-row tg-hero', 'data-slider': '' }, input, map),
      element('div', { class: 'tg-under' }, rather, switcher(show), one, rather.colours), who, look, classes);
    state.followers.classes = (payload) => classes.show(payload);
    state.updates.contrast = show;

    return (payload) => {
      const first = data?.picture !== payload.picture;
      data = payload;
      if (first) picture.src = payload.picture;
      picture.alt = `The picture that is explained, ${payload.seen}`;
      seen.textContent = payload.seen;
      show();
      look.show(payload);
      classes.show(payload);
      if (state.unfold) root.querySelector(`[data-fold="${state.unfold}"]`).open = true;
      state.unfold = '';
    };
  };
})();
