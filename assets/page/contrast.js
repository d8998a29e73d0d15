// "Rather than …": the second class that the shown map is compared with; null where it is compared with the mean of the five best.
(() => {
  const { state, element, ramp } = window.TRGBP;

  // The pair of maps that is asked for, once it is there.
  window.TRGBP.contrast = () => {
    const found = state.data.contrast;
    return found && state.against !== null && found.against === state.against ? found : null;
  };

  // Compares the class that is shown with `other`, one of the five best, or with their mean again.
  window.TRGBP.rather = (other) => {
    const { answers = [], class: chosen } = state.data.explain ?? {};
    state.against = other !== chosen?.index && answers.some(({ index }) => index === other) ? other : null;
    if (state.against !== null && !window.TRGBP.contrast()) window.TRGBP.askContrast(`${chosen.index},${state.against}`);
    state.updates.contrast?.();
  };

  // The choice of that class, the way back, and what the two colours mean.
  window.TRGBP.ratherThan = () => {
    const back = element('button', { type: 'button', class: 'tg-button', 'data-control': 'alone', hidden: '', onclick: () => {
      window.TRGBP.rather(null);
      select.focus();
    } });
    const select = element('select', { id: 'tg-against', 'data-control': 'against',
      onchange: () => window.TRGBP.rather(select.value === '' ? null : Number(select.value)) });
    const label = element('label', { for: 'tg-against' });
    const [red, blue] = [element('span'), element('span')];
    const bar = element('canvas', { class: 'tg-ramp', width: 256, height: 1, 'aria-hidden': 'true', 'data-signed': 'yes' });
    const colours = element('p', { class: 'tg-scale', hidden: '' }, element('span', {}, blue, bar, red));
    const node = element('div', { class: 'tg-select tg-against' }, label, select, back);

    const choices = ({ answers, class: chosen }) => [element('option', { value: '', text: answers.length < 5 ? `the mean of all ${answers.length}` : 'the mean of the five best' }),
      ...answers.filter(({ index }) => index !== chosen.index).map(({ index, name }) => element('option', { value: index, text: name }))];
    node.show = (data) => {
      const { answers, class: chosen } = data;
      if (node.of !== data.key) select.replaceChildren(...choices(data));
      node.of = data.key;
      select.value = String(state.against ?? '');
      label.textContent = `Why ${chosen.name} rather than`;
      const other = answers.find(({ index }) => index === state.against);
      back.hidden = !other;
      back.textContent = `Back to ${chosen.name} alone`;
      colours.hidden = !other;
      red.textContent = `1 · for ${chosen.name}`;
      blue.textContent = `for ${other?.name} · 1`;
      ramp(bar);
      document.querySelectorAll('.tg-answer').forEach((button) => {
        const k = Number(button.dataset.class);
        button.dataset.speaks = !other ? '' : k === chosen.index ? 'red' : k === other.index ? 'blue' : '';
      });
    };
    return Object.assign(node, { colours });
  };
})();
