// The panel of the tab Many pictures: groups as rows of pictures with their maps; a click opens a picture in the tab Explain.
(() => {
  const { element } = window.TRGBP;

  // By a link on the page, which sets picture, network and tab.
  function open({ image, own }, model) {
    window.TRGBP.wish(`?${new URLSearchParams({ image, model, tab: 'explain' })}`, own);
  }

  function pair(member, model) {
    const title = `${member.name}: ${member.says}. Open it in Explain.`;
    return element('button', { type: 'button', class: 'tg-pair', title, 'aria-label': title, onclick: () => open(member, model) },
      element('img', { src: member.picture, alt: '' }), element('img', { src: member.map, alt: '' }));
  }

  function group({ number, title, flagged, verdict, mean, members }, model) {
    return element('article', { class: 'tg-group', 'data-flagged': flagged ? 'yes' : 'no', 'data-number': number },
      element('h3', { text: `${flagged ? '⚑ ' : ''}Group ${number}, ${title}` }), element('p', { class: 'tg-lead', text: verdict }),
      element('div', { class: 'tg-members' },
        element('figure', { class: 'tg-mean' }, element('img', { src: mean, alt: `Where group ${number} looks, on average` }), element('figcaption', { text: 'on average' })),
        ...members.map((member) => pair(member, model))));
  }

  window.TRGBP.panels.many = (root) => {
    const place = element('div');
    root.append(place);
    return ({ network, model, summary, question, left_out: leftOut, groups }) => {
      const parts = [element('h2', { class: 'tg-verdict', text: `${network}: ${summary}` })];
      if (question) parts.push(element('p', { class: 'tg-lead', text: question }));
      if (leftOut.length) parts.push(element('details', {}, element('summary', { text: `Left out: ${leftOut.length}` }), ...leftOut.map((text) => element('p', { text }))));
      place.replaceChildren(...parts, ...groups.map((one) => group(one, model)));
    };
  };
})();
