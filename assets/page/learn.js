// The panel of the tab Learn: a lesson asks, the student predicts, and only then the server computes the answer.
(() => {
  const { state, element, figure, decode } = window.TRGBP;
  const TABS = { explain: 'Explain', classes: 'Explain', compare: 'Compare', cascade: 'Sanity check', measure: 'Measure', predict: 'Predict', camera: 'Camera' };

  // The server makes this HTML of a lesson's Markdown, in which HTML is shown as it is written.
  const written = (tag, className, html) => Object.assign(element(tag, { class: className }), { innerHTML: html });

  // Every panel lies over its own picture, which need not be the page's.
  function figures(panels, framed) {
    return element('div', { class: `tg-row tg-grid tg-lesson-maps${framed ? ' tg-framed' : ''}` }, ...panels.map((panel) => {
      const one = figure();
      decode(panel.under).then((data) => { panel.underData = data; one.show(panel); });
      return one;
    }));
  }

  function choices(lesson, chosen) {
    const name = `tg-choice-${lesson.number}`;
    const options = lesson.choices.map((text, index) => {
      const id = `${name}-${index}`;
      const radio = element('input', { type: 'radio', name, id, value: index, onchange: () => chosen(index) });
      return element('div', { class: 'tg-choice' }, radio, Object.assign(written('label', '', text), { htmlFor: id }));
    });
    return { options, box: element('fieldset', { class: 'tg-choices' }, written('legend', '', lesson.question), ...options) };
  }

  function verdict(found, chosen, lesson) {
    const right = found.right === null ? '' : lesson.choices[found.right];
    const words = found.right === chosen ? `Yes. ${found.measured}.` : `Not this time. ${found.measured}. ${right}`;
    const untrue = found.right === found.stated ? '' : ' (The lesson’s author expected another answer for this picture.)';
    return written('p', `tg-verdict ${found.right === chosen ? 'tg-right' : ''}`, words + untrue);
  }

  function table(rows) {
    return element('table', { class: 'tg-table tg-claims' }, element('caption', { text: 'Computed just now, beside what the lesson says.' }),
      element('thead', {}, element('tr', {}, ...['What', 'Measured', 'The lesson says'].map((text) => element('th', { scope: 'col', text })))),
      element('tbody', {}, ...rows.map((row) => element('tr', { 'data-holds': row.holds }, Object.assign(written('th', '', row.label), { scope: 'row' }),
        element('td', { class: 'tg-number', text: row.value }), element('td', { text: `${row.stated}${row.holds ? '' : ': not so here'}` })))));
  }

  function result(found, chosen, lesson) {
    const heading = element('h3', { text: 'Result', tabindex: '-1' });
    const links = found.equations.map((n) => element('a', { href: `#tg-eq-${n}`, text: `Eq. ${n}` }));
    const node = element('section', { class: 'tg-result' }, heading, verdict(found, chosen, lesson), figures(found.panels, lesson.framed), table(found.rows),
      element('h3', { text: 'Why' }), written('div', 'tg-text', found.explanation),
      element('p', { class: 'tg-lead' }, 'The equations behind it: ', ...links.flatMap((link, i) => (i ? [', ', link] : [link]))),
      element('h3', { text: 'What to try next' }), written('div', 'tg-text', found.further),
      element('p', { class: 'tg-actions' }, element('a', { href: found.page, class: 'tg-button', text: `Set the page to this lesson: ${TABS[found.tab] || found.tab}` })));
    return { node, heading };
  }

  // One lesson; `node.reveal(found)` is called when the answer has come.
  function page(lesson, next) {
    let chosen = null;
    const look = element('button', { type: 'button', class: 'tg-button tg-primary', 'data-control': 'reveal', disabled: '', text: 'Look at the result', onclick: () => {
      look.disabled = true;
      look.textContent = 'Computing …';
      options.forEach((option) => { option.querySelector('input').disabled = true; });
      window.TRGBP.reveal(lesson.number);
    } });
    const { options, box } = choices(lesson, (index) => { chosen = index; look.disabled = false; });
    const print = element('button', { type: 'button', class: 'tg-button', 'data-control': 'handout', text: 'Print a handout', onclick: () => window.TRGBP.handout(lesson.number) });
    const node = element('article', { class: 'tg-lesson' }, element('h2', { text: `${lesson.number}. ${lesson.title}` }), 
      element('div', { class: 'tg-opening' }, written('div', 'tg-text', lesson.introduction), figures(lesson.panels, lesson.framed)), box, element('p', { class: 'tg-actions' }, look, print));
    node.reveal = (found) => {
      const { node: section, heading } = result(found, chosen, lesson);
      options.forEach((option, i) => {
        option.classList.toggle('tg-right', i === found.right);
        option.classList.toggle('tg-chosen', i === chosen);
      });
      look.textContent = 'Computed';
      look.disabled = true;
      node.querySelector('.tg-result')?.remove();
      if (next) section.querySelector('.tg-actions').append(element('a', { href: `?lesson=${next.number}`, class: 'tg-button tg-primary', text: `Next: ${next.title}` }));
      node.append(section);
      heading.focus({ preventScroll: true });
      section.scrollIntoView({ block: 'start' });
    };
    return node;
  }

  function follow(event, equations) {
    const link = event.target.closest('a');
    const href = link?.getAttribute('href') || '';
    if (href.startsWith('?')) {
      event.preventDefault();
      window.TRGBP.wish(href);
      window.scrollTo(0, 0);
    } else if (href.startsWith('#tg-eq-')) {
      event.preventDefault();
      equations.open = true;
      const equation = equations.querySelector(`[id="${CSS.escape(href.slice(1))}"]`);
      equation?.scrollIntoView({ block: 'center' });
      equation?.focus({ preventScroll: true });
    } else if (href) {
      link.target = '_blank';
      link.rel = 'noopener';
    }
  }

  window.TRGBP.panels.learn = (root) => {
    const list = element('div', { class: 'tg-lessons', role: 'group', 'aria-label': 'Lessons' });
    const broken = element('ul', { class: 'tg-broken' });
    const place = element('div');
    const equations = element('details', { class: 'tg-equations' });
    root.append(element('p', { class: 'tg-lead', text: 'Predict what you will see, then look. Each lesson takes about five minutes and sets the page for you.' }),
      list, broken, place, equations);
    root.addEventListener('click', (event) => follow(event, equations));
    let lesson = null;
    let node = null;

    state.updates.revealed = (found) => { if (lesson && found.number === lesson.number) node.reveal(found); };

    return (payload) => {
      list.replaceChildren(...payload.lessons.map(({ number, title }) => element('button', { type: 'button', class: 'tg-button', 'data-lesson': number,
        'aria-pressed': String(payload.open?.number === number), text: `${number}. ${title}`, onclick: () => window.TRGBP.wish(`?lesson=${number}`) })));
      broken.replaceChildren(...payload.broken.map((sentence) => element('li', { text: sentence })));
      equations.replaceChildren(element('summary', { text: 'The equations' }), ...payload.equations.map((html) => {
        const section = written('div', '', html).firstElementChild;
        section.tabIndex = -1;
        return section;
      }));
      lesson = payload.open || null;
      const after = lesson && payload.lessons[payload.lessons.findIndex(({ number }) => number === lesson.number) + 1];
      node = lesson ? page(lesson, after) : null;
      place.replaceChildren(...(node ? [node] : []));
    };
  };

  // A sheet is printed from a frame of its own, with its own style.
  state.updates.handout = ({ html }) => {
    document.querySelector('iframe.tg-handout')?.remove();
    const frame = element('iframe', { class: 'tg-handout', title: 'The handout that is printed', sandbox: 'allow-same-origin allow-modals', srcdoc: html });
    frame.addEventListener('load', () => frame.contentWindow.print());
    document.body.append(frame);
  };
})();
