// The page's state as a link, and the way from a link to that state: the server answers a query (trgbp_core/explorer/links.py) and sets the page.
(() => {
  const { state, element } = window.TRGBP;
  let asked = null;

  // What the server is to make of the page: what a link on it asked for last, and before that the page's own address.
  window.TRGBP.wanted = () => asked ?? window.location.search;
  window.TRGBP.wish = (query) => {
    asked = query;
    window.TRGBP.asker();
  };

  function query() {
    const { data } = state;
    const slider = document.querySelector('input[data-control="layer"]');
    const parts = { ...data.explain.link, layer: slider ? Number(slider.value) : state.layer };
    if (state.stage && data.cascade?.of === data.explain.key) Object.assign(parts, { stage: state.stage }, data.cascade.link);
    parts.tab = window.TRGBP_OPEN_TAB();
    if (parts.tab === 'learn' && data.learn?.open) parts.lesson = data.learn.open.number;
    return `?${new URLSearchParams(parts)}`;
  }

  // Without a secure context (a page served over plain HTTP in a class-room) browsers offer no clipboard: the link is shown instead.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }

  // The button, a line for what has to be said, and the link itself where it cannot be copied.
  window.TRGBP.linkBar = () => {
    const said = element('output', { class: 'tg-said', role: 'status' });
    const shown = element('input', { class: 'tg-address', type: 'text', readonly: '', hidden: '', 'aria-label': 'Link to the page as it is now' });
    const button = element('button', { type: 'button', class: 'tg-button', 'data-control': 'link', text: 'Copy link', onclick: async () => {
      shown.hidden = true;
      if (!state.data.explain) { said.textContent = 'There is nothing to link to yet.'; return; }
      if (!state.data.explain.link.image) {
        said.textContent = 'No link: a picture that you put in stays with you. Links can hold the examples only.';
        return;
      }
      shown.value = `${window.location.origin}${window.location.pathname}${query()}`;
      const copied = await copy(shown.value);
      button.textContent = copied ? 'Link copied' : 'Copy link';
      said.textContent = copied ? '' : 'Your browser does not let this page copy; take the link from here:';
      if (!copied) { shown.hidden = false; shown.focus(); shown.select(); }
      setTimeout(() => { button.textContent = 'Copy link'; }, 3000);
    } });
    state.updates.notice = ({ note }) => { said.textContent = note; };
    if (state.data.notice) state.updates.notice(state.data.notice);
    return [button, said, shown];
  };
})();
