// The page's state is its address. What changes is written into the address; an address, a step back or a link on the page is read by the
// server (trgbp_core/explorer/links.py), which sets the page.
(() => {
  const { state, element } = window.TRGBP;
  const KEYS = ['lesson', 'model', 'image', 'crop', 'class', 'against', 'layer', 'stage', 'tab', 'beside', 'mode', 'seed', 'colours', 'opacity', 'psi', 'box'];
  const STEP = ['tab', 'model', 'image', 'crop', 'class', 'against', 'lesson']; // a change of these is a step that Back takes back
  const LOCAL = ['tab', 'against', 'layer', 'colours', 'opacity', 'psi', 'box']; // the browser sets these itself
  const PSI = ['paper', 'conserving'];
  const ALLOWED = { // what the server's notice calls not followed is not
    colours: (name) => name !== 'diverging' && Object.keys(window.TRGBP_COLOURS).includes(name),
    opacity: (text) => /^(\d{1,2}|100)$/.test(text) && Number(text) % 5 === 0,
    psi: (name) => PSI.includes(name),
  };
  const PAUSE = 200; // milliseconds; browsers limit how often an address may be written

  let asked = null; // the query that a link on the page asks for
  let brought = null; // the file of the visitor's that such a link brings along
  let following = { how: 'replaceState', number: null }; // while an address or a link is followed: what is shown on the way is no step
  let current = null; // what the address stands for
  let touched = false; // whether the visitor has done something since; what arrives by itself is no step
  let pending = {}; // the stage that was asked for and has not arrived
  let explained = { question: '', own: '' };
  let hush = () => {};

  // Which file of the visitor's own is meant stands beside the address, in this tab's history: the address names no file, and whoever else is
  // given it cannot see the picture. The server keeps the file for the visitor alone, until some seconds after the page is left.
  const ownFile = () => history.state?.own ?? '';

  window.TRGBP.wanted = () => ({ query: asked ?? window.location.search, own: brought ?? ownFile() });
  window.TRGBP.wish = (query, own = null) => {
    asked = query;
    brought = own;
    follow('pushState');
  };

  function follow(how) {
    following = { how, number: null };
    window.TRGBP.asker();
  }

  // Whether a link is being followed; the picture that it brings is no visitor's.
  window.TRGBP.isFollowing = () => following !== null && following.number === null;

  // The server has read a link, and put its picture on the page.
  window.TRGBP.expected = (file, notice) => {
    window.TRGBP.reportedAs(file);
    if (!following) return;
    Object.assign(following, { number: notice?.number ?? -1, against: notice?.against ?? null, cascade: notice?.cascade ?? {} });
    if (following.how === 'replaceState' && state.unfold === 'inside') state.unfold = ''; // that is for a link on the page
  };

  // What comes last of a link, whether it has been explained or not.
  window.TRGBP.followed = () => { if (following && following.number !== null) arrive(); };

  const control = (name) => document.querySelector(`[data-control="${name}"]`);
  const openTab = () => window.TRGBP_OPEN_TAB();

  const look = () => ({ colours: state.colours, opacity: String(Math.round(100 * state.opacity)), psi: PSI[state.psi] });
  const opening = look(); // of a page just opened: an address that does not mention one of these means this

  // The state as the address has it, without what is somebody else's in it.
  function parts() {
    const { data } = state;
    const question = data.explain.key.replace(/:\d+$/, '');
    if (question !== explained.question) explained = { question, own: state.asked?.file?.path ?? '' };
    const found = { ...data.explain.link, image: data.explain.link.image || 'own' };
    const crop = data.explain.view?.crop;
    if (crop && crop !== 'centre') found.crop = crop;
    if (state.against !== null) found.against = state.against;
    if (state.box) found.box = state.box.map((edge) => Number(edge.toFixed(6))).join();
    found.layer = Number(control('layer')?.value ?? state.layer);
    const stage = state.at ?? state.stage;
    if (data.cascade?.of === data.explain.key) Object.assign(found, stage ? { stage, ...data.cascade.link } : {});
    else if (pending.question === question) Object.assign(found, pending.parts);
    found.tab = openTab();
    if (found.tab === 'learn' && data.learn?.open) found.lesson = data.learn.open.number;
    return { ...found, ...Object.fromEntries(Object.entries(look()).filter(([key, value]) => value !== opening[key])) };
  }

  const others = () => [...new URLSearchParams(window.location.search)].filter(([key]) => !KEYS.includes(key));
  const only = (params, keys) => JSON.stringify(keys.map((key) => params.get(key)));

  function entry() {
    const query = `?${new URLSearchParams([...others(), ...Object.entries(parts())])}`;
    const params = new URLSearchParams(query);
    const own = params.get('image') === 'own' ? explained.own : '';
    return { query, own, params, step: only(params, STEP) + own };
  }

  const write = (how) => history[how]({ own: current.own, query: current.query }, '', current.query);

  // The end of following: the address now stands for what is shown.
  function arrive() {
    const { how, against, cascade } = following;
    const given = new URLSearchParams(window.location.search);
    const before = current?.step;
    following = null;
    asked = null;
    brought = null;
    if (!state.data.explain) return;
    if (how === 'replaceState') set(given, current === null);
    window.TRGBP.rather(against);
    current = entry();
    if (given.has('stage') && !state.data.cascade) {
      const keys = ['stage', 'beside', 'mode', 'seed'].filter((key) => given.has(key) && key in cascade);
      pending = { question: explained.question, parts: Object.fromEntries(keys.map((key) => [key, cascade[key]])) };
      current = entry();
    }
    // The page's bare address stays bare until something is done; its state is kept beside it.
    if (how === 'replaceState' && !KEYS.some((key) => given.has(key))) history.replaceState({ own: '', query: current.query }, '');
    else write(current.step === before ? 'replaceState' : how);
    touched = false;
  }

  // The state has changed, perhaps.
  function settle() {
    if (!state.data.explain) return;
    if (following) {
      if (following.number !== null && state.wish === following.number) arrive();
      return;
    }
    const next = entry();
    if (next.query === current.query && next.own === current.own) return;
    const how = touched && next.step !== current.step ? 'pushState' : 'replaceState';
    if (touched) hush();
    if (how === 'pushState') touched = false;
    current = next;
    write(how);
  }
  let waiting = 0;
  function later() {
    clearTimeout(waiting);
    waiting = setTimeout(settle, PAUSE);
  }

  function enter(input, value) {
    if (!input || value === null || value === undefined || input.value === String(value)) return;
    input.value = value;
    ['input', 'change'].forEach((name) => input.dispatchEvent(new Event(name, { bubbles: true })));
  }

  // Sets what the browser can set itself. A page just opened (`first`) is as it opens, or as the visitor has moved it since.
  function set(params, first = false) {
    const wanted = (key) => (ALLOWED[key](params.get(key)) ? params.get(key) : first ? null : opening[key]);
    enter(control('colours'), wanted('colours'));
    enter(control('opacity'), wanted('opacity'));
    const psi = PSI.indexOf(wanted('psi'));
    const choice = document.querySelector(`[data-control="psi"][value="${psi}"]`);
    if (psi >= 0 && psi !== state.psi) { if (choice) choice.click(); else state.psi = psi; } // a closed tab reads it when it is opened
    if (params.has('box') || !first) window.TRGBP.askPlace(params.get('box'));
    const layer = control('layer');
    if (params.has('layer') && Number(params.get('layer')) <= Number(layer?.max)) enter(layer, params.get('layer'));
  }

  // Back and forward: by the browser itself where the picture, the network and the class stay.
  window.addEventListener('popstate', () => {
    const params = new URLSearchParams(history.state?.query ?? window.location.search);
    const asks = KEYS.filter((key) => !LOCAL.includes(key));
    const tab = document.querySelector(`[role=tab][data-tab-id="${CSS.escape(params.get('tab') ?? '')}"]`);
    hush();
    if (following || !current || !tab || only(params, asks) !== only(current.params, asks) || ownFile() !== current.own) {
      asked = null;
      brought = null;
      follow('replaceState');
      return;
    }
    if (openTab() !== params.get('tab')) tab.click();
    set(params);
    window.TRGBP.rather(params.has('against') ? Number(params.get('against')) : null);
    current = { query: history.state.query, own: ownFile(), params, step: only(params, STEP) + ownFile() };
    touched = false;
  });

  for (const name of ['pointerdown', 'keydown', 'drop', 'paste', 'input', 'change']) {
    document.addEventListener(name, (event) => { if (event.isTrusted || name === 'change') touched = true; later(); }, true);
  }
  // An address that is followed is set at once: what the visitor does with the picture that it shows comes after it.
  const explains = ({ attributeName }) => attributeName === 'data-trgbp-explain';
  new MutationObserver((marks) => { if (following?.how === 'replaceState' && marks.some(explains)) settle(); later(); }).observe(document.documentElement, { attributes: true, subtree: true,
    attributeFilter: ['aria-selected', 'data-trgbp-explain', 'data-trgbp-cascade', 'data-trgbp-learn', 'data-trgbp-box'] });

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
      settle(); // before something is said, for that goes when the address changes
      shown.hidden = true;
      if (!state.data.explain) { said.textContent = 'There is nothing to link to yet.'; return; }
      const { query, params } = entry();
      if (params.get('image') === 'own') {
        said.textContent = 'No link: a picture that you put in stays with you. Links can hold the examples only.';
        return;
      }
      shown.value = `${window.location.origin}${window.location.pathname}${query}`;
      const copied = await copy(shown.value);
      button.textContent = copied ? 'Link copied' : 'Copy link';
      said.textContent = copied ? '' : 'Your browser does not let this page copy; take the link from here:';
      if (!copied) { shown.hidden = false; shown.focus(); shown.select(); }
      setTimeout(() => { button.textContent = 'Copy link'; }, 3000);
    } });
    // What was said holds for what is shown, and goes with it.
    hush = () => {
      said.textContent = '';
      shown.hidden = true;
    };
    state.updates.notice = ({ note }) => { said.textContent = note; };
    if (state.data.notice) state.updates.notice(state.data.notice);
    return [button, said, shown];
  };
})();
