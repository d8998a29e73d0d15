// From the server to the panels: each panel builds its elements once and shows what was sent; one that is opened late shows the latest.
(() => {
  const { state, panels, element, balance, setPicture, repaint, load, afterFrame } = window.TRGBP;

  window.TRGBP.mount = (name, root) => {
    root.replaceChildren();
    state.roots[name] = root;
    const update = panels[name](root);
    state.updates[name] = update;
    balance(root);
    const source = ['answer', 'crop', 'brush'].includes(name) ? 'explain' : name;
    if (state.data[source]) update(state.data[source]);
  };

  // What is shown answers another question than the one that is asked now: it is greyed until the answer is there.
  window.TRGBP.stale = (is) => document.body.classList.toggle('tg-stale', is);

  // What a tab says, in plain text with **bold**. `empty` lets the server's side forget a sentence, so that the same one is heard again.
  const lines = {};
  const line = (name) => lines[name] || (lines[name] = { said: '', node: null, empty: () => {} });

  function write({ node, said }) {
    node?.replaceChildren(...said.split('**').map((text, i) => (i % 2 ? element('strong', { text }) : text)));
  }

  window.TRGBP.placeLine = (name, root) => {
    root.setAttribute('role', 'status');
    line(name).node = root;
    write(line(name));
  };

  window.TRGBP.say = (name, sentence, empty) => {
    Object.assign(line(name), { said: sentence || '', empty });
    write(line(name));
  };

  // What the tabs said was about the question before; a download and a lesson have questions of their own.
  function emptyLines() {
    for (const [name, one] of Object.entries(lines)) if (one.said && !['export', 'learn'].includes(name)) one.empty();
  }

  const mark = (name) => `trgbp${name[0].toUpperCase()}${name.slice(1)}`;

  // What was computed for another picture or class goes; whoever wants it for this one asks for it.
  function forget(name) {
    delete state.data[name];
    delete document.body.dataset[mark(name)];
    if (name === 'cascade') state.stage = 0;
    if (state.roots[name]?.isConnected) window.TRGBP.mount(name, state.roots[name]);
  }

  // Which layer and which stage are shown is the page's state, not a panel's: panels come and go with their tabs.
  // A link's layer comes with every answer to that link, and is set once: the slider may have been moved since.
  function settleLayer({ layers, layer, wish }) {
    const depth = layers.length - 1;
    if (Number.isInteger(layer) && wish !== state.wish) state.layer = layer;
    else if (state.depth !== depth) state.layer = depth > 1 ? Math.round(depth * 0.7) : 0;
    state.depth = depth;
    state.wish = wish ?? state.wish;
  }

  function settleStage({ stages, run, at }) {
    if (run !== state.run) state.at = at ?? null;
    state.run = run;
    state.stage = Math.max(0, Math.min(state.at ?? Infinity, stages.length - 1));
  }

  // Stages come one by one, with the few before them; what has arrived is kept.
  const gathered = { run: null, stages: [] };
  function stagesSoFar(sent) {
    if (gathered.run !== sent.run) Object.assign(gathered, { run: sent.run, stages: [] });
    for (const stage of sent.stages) gathered.stages[stage.index] = gathered.stages[stage.index] || stage;
    const missing = Array.from(gathered.stages).findIndex((stage) => !stage);
    return { ...sent, stages: gathered.stages.slice(0, missing < 0 ? undefined : missing) };
  }

  // The second class stays where only the crop is another one.
  const secondClass = (before, now) => (before.class?.index === now.class?.index && before.model === now.model && before.view?.whole === now.view?.whole ? state.against : null);

  // Show a payload, in every panel that reads it, once all that it waits for is there.
  window.TRGBP.present = (name, payload, waits = []) => {
    if (payload.of && state.data.explain && payload.of !== state.data.explain.key) return; // about the question before
    let kept = null;
    if (name === 'explain' && state.data.explain && state.data.explain.key !== payload.key) {
      kept = secondClass(state.data.explain, payload);
      ['cascade', 'perturb', 'predict_measured', 'predict', 'contrast'].forEach(forget);
      state.against = null;
      if (payload.key.replace(/:\d+$/, '') !== state.data.explain.key.replace(/:\d+$/, '')) window.TRGBP.askPlace(null); // it was drawn on another picture
      ['compare', 'measure'].forEach((one) => state.roots[one]?.classList.add('tg-stale'));
      emptyLines();
    }
    if (name === 'explain') settleLayer(payload);
    if (name === 'cascade') settleStage(payload);
    state.data[name] = payload;
    const show = () => {
      if (state.data[name] !== payload) return;
      state.roots[name]?.classList.remove('tg-stale');
      if (name === 'explain') {
        window.TRGBP.stale(false);
        state.updates.answer?.(payload);
      }
      state.updates[name]?.(payload);
      if (kept !== null) window.TRGBP.rather(state.against ?? kept);
      if (name === 'explain') ['crop', 'brush'].forEach((one) => state.updates[one]?.(payload));
      document.body.dataset[mark(name)] = payload.key || String(payload.stages?.length ?? payload.panels?.length ?? payload.curves?.length ?? '');
      if (name === 'explain') {
        afterFrame(() => {
          if (picture) repaint();
          if (state.data.explain === payload) window.TRGBP.completed();
        });
      }
    };
    const picture = name === 'explain' && setPicture(payload.picture);
    if (picture) waits.push(picture);
    if (waits.length) Promise.all(waits).then(show);
    else show();
  };

  // The maps of the five best classes, decoded so that each is shown at once when it is picked; not before the first map is shown.
  window.TRGBP.completed = () => {
    const payload = state.data.explain;
    if (!payload || document.body.dataset.trgbpExplain !== payload.key) return;
    state.followers.classes?.(payload);
    payload.classes.forEach((item) => item.pages.forEach(load));
  };

  // What a carrier brings: large payloads as text, for Gradio copies what its components hold again and again.
  window.TRGBP.receive = (name, sent) => {
    const payload = typeof sent === 'string' && sent ? JSON.parse(sent) : sent;
    if (!payload || typeof payload !== 'object') return;
    if (name === 'explain') window.TRGBP.explained(payload);
    else if (name === 'rest') window.TRGBP.complete(payload);
    else if (name === 'notice') {
      state.unfold = payload.unfold;
      window.TRGBP.present(name, payload);
    } else if (name === 'stale') window.TRGBP.stale(true);
    else window.TRGBP.present(name, name === 'cascade' ? stagesSoFar(payload) : payload);
  };
})();
