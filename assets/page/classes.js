// What the page knows of the picture's classes. The frames of the top 5 come with the picture, so that picking one of them asks nobody.
(() => {
  const { state, load } = window.TRGBP;
  const known = { picture: null, classes: new Map(), views: new Map(), picked: null, shown: null };

  // A class as it was sent, with its panels' sheets beside them.
  function unpacked(item) {
    const sheets = item.sheets.map((src) => ({ src }));
    const place = (panel) => Object.assign(panel, { page: sheets[panel.sheet] });
    item.panels.forEach(place);
    item.frames.forEach((frame) => { place(frame.raw); place(frame.own); });
    return Object.assign(item, { pages: sheets });
  }

  // The question as the views read it, with one class chosen.
  function view(k) {
    const { picture, classes, views } = known;
    if (!views.has(k)) {
      const item = classes.get(k);
      views.set(k, {
        ...picture,
        key: `${picture.key}:${k}`,
        link: { ...picture.link, class: k },
        class: item,
        panels: item.panels,
        layers: picture.layers.map((layer, i) => ({ ...layer, ...item.frames[i] })),
        classes: picture.top.map((i) => classes.get(i)),
      });
    }
    return views.get(k);
  }

  function show(k, wished = {}) {
    known.shown = k;
    const payload = view(k);
    Object.assign(payload, { layer: wished.layer, wish: wished.wish });
    window.TRGBP.present('explain', payload, payload.class.pages.map(load).filter(Boolean));
  }

  // A picture with its top 5, or one class more of the picture that is shown; that picture itself again, which comes without the rest.
  function receive(payload) {
    if (payload.picture) {
      if (known.picture?.key !== payload.key) known.classes = new Map();
      Object.assign(known, { picture: payload, views: new Map(), picked: payload.chosen });
    } else if (known.picture?.key !== payload.key) return;
    else if (payload.again) known.picked = payload.chosen;
    for (const item of payload.classes) if (!known.classes.has(item.index)) known.classes.set(item.index, unpacked(item));
    if (known.picked === payload.chosen || known.picked === null) show(payload.chosen, payload);
  }

  // Called with what the class picker holds: shows the class if it is known, and returns whether it is.
  function pick(wanted) {
    const k = /^\d+$/.test(wanted ?? '') ? Number(wanted) : null;
    known.picked = k;
    if (!known.classes.has(k)) return false;
    if (known.shown !== k) show(k);
    return true;
  }

  Object.assign(window.TRGBP, { pick, explained: receive, shownKey: () => known.picture?.key ?? '' });
})();
