// The classes of the picture that the page has received. The top 5 are sent without being asked for: picking one of them asks no server.
(() => {
  const { state, load } = window.TRGBP;
  const known = { picture: null, classes: new Map(), payloads: new Map(), picked: null, shown: null, rest: null };
  let own = null; // what the visitor picked, and of which file and network
  let filled = null; // the network whose classes the field holds

  // A class as it was sent, with its panels' sheets beside them.
  function unpacked(item) {
    const sheets = item.sheets.map((src) => ({ src }));
    const place = (panel) => Object.assign(panel, { page: sheets[panel.sheet] });
    item.panels.forEach(place);
    item.frames.forEach((frame) => { place(frame.raw); place(frame.own); });
    return Object.assign(item, { pages: sheets });
  }

  // The top 5 in their order, as far as they have arrived.
  const topFive = () => known.picture.top.map((i) => known.classes.get(i)).filter(Boolean);

  // The question as the panels read it, with one class chosen.
  function payloadOf(k) {
    const { picture, payloads } = known;
    if (!payloads.has(k)) {
      const item = known.classes.get(k);
      payloads.set(k, {
        ...picture,
        key: `${picture.key}:${k}`,
        link: { ...picture.link, class: k },
        class: item,
        panels: item.panels,
        layers: picture.layers.map((layer, i) => ({ ...layer, ...item.frames[i] })),
        classes: topFive(),
      });
    }
    return payloads.get(k);
  }

  function show(k, wished = {}) {
    known.shown = k;
    const payload = payloadOf(k);
    Object.assign(payload, { layer: wished.layer, wish: wished.wish });
    window.TRGBP.present('explain', payload, payload.class.pages.map(load).filter(Boolean));
  }

  const keep = (items) => { for (const item of items) if (!known.classes.has(item.index)) known.classes.set(item.index, unpacked(item)); };

  // A picture with one class, or one class more of the picture that is shown; that picture itself again, which comes without the rest.
  function receive(payload) {
    if (payload.picture) {
      if (known.picture?.key !== payload.key) known.classes = new Map();
      Object.assign(known, { picture: payload, payloads: new Map(), picked: payload.chosen });
      if (keptClass(state.asked) !== `${payload.model}:${payload.chosen}`) choose(payload.chosen === payload.top[0] ? null : payload.chosen);
    } else if (known.picture?.key !== payload.key) return;
    else if (payload.again) known.picked = payload.chosen;
    else if (known.picked === null) choose(payload.chosen); // it was picked by its name
    if (payload.picture || payload.again) window.TRGBP.fillField();
    keep(payload.classes);
    if (known.rest?.key === payload.key) complete(known.rest);
    if (known.picked === payload.chosen || known.picked === null) show(payload.chosen, payload);
  }

  // What was not needed for the first map: the rest of the top 5. It may come before the picture does.
  function complete(payload) {
    known.rest = payload;
    if (known.picture?.key !== payload.key) return;
    keep(payload.classes);
    for (const one of known.payloads.values()) one.classes = topFive();
    window.TRGBP.completed();
  }

  // Called with what the class picker holds: shows the class if it is known, and returns whether it is.
  function pick(wanted) {
    const k = /^\d+$/.test(wanted ?? '') ? Number(wanted) : null;
    known.picked = k;
    if (k !== null) choose(k);
    if (!known.classes.has(k)) return false;
    if (known.shown !== k) show(k);
    window.TRGBP.stale(false);
    return true;
  }

  const choose = (k) => { own = k === null ? null : { file: state.asked?.file?.path, model: known.picture?.model, k }; };

  // What was picked of this file, whichever part of it is asked about: its network and the class.
  const keptClass = (picture) => (own && own.file === picture?.file?.path ? `${own.model}:${own.k}` : '');

  // What Gradio's field of classes is to hold. In a field that somebody is writing into nothing is changed before it is left.
  function classField() {
    const { choices, model } = known.picture;
    const field = document.querySelector('#tg-class input');
    if (filled === model && document.activeElement === field) {
      field.addEventListener('blur', () => window.TRGBP.fillField(), { once: true });
      return [{ __type__: 'update' }];
    }
    filled = model;
    const value = known.picked === null ? {} : { value: String(known.picked) };
    return [{ __type__: 'update', choices, ...value }];
  }

  // Called with the page's picture: asks for its explanation. Gradio reports a change more than once, at short intervals; the same picture
  // put in again later is a new question, for the first answer may have been that the server is busy.
  const SAME = 3000; // milliseconds; on a busy machine the reports come more than a second apart
  const reported = { path: undefined, at: 0 };
  function pictured(picture) {
    const [path, at] = [picture?.path ?? null, performance.now()];
    const again = path === reported.path && at - reported.at < SAME;
    if (again || !window.TRGBP.put || window.TRGBP.isFollowing() || window.TRGBP.painting()) return [];
    reportedAs(picture);
    own = null;
    window.TRGBP.ask(picture, 'centre');
    return [];
  }
  const reportedAs = (picture) => Object.assign(reported, { path: picture?.path ?? null, at: performance.now() });

  Object.assign(window.TRGBP, { pick, pictured, keptClass, classField, reportedAs, explained: receive, complete, shownKey: () => known.picture?.key ?? '' });
})();
