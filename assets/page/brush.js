// A part of the tab Explain: a box on the picture is covered, or copied to another place or another picture, and the picture is explained anew.
(() => {
  const { state, panels, element, boxOn } = window.TRGBP;
  const CELLS = 64;
  const steps = []; // what Undo takes back: the picture before, and the file that it has become
  let waits = null; // the question before the stroke that the server paints now

  // The server has painted, or said why not; what the network sees of the picture stays.
  function painted(file) {
    const before = waits;
    waits = null;
    if (before && file && file.path !== before.file.path) {
      steps.push({ before, path: file.path });
      window.TRGBP.reportedAs(file);
      window.TRGBP.ask(file, before.crop);
    }
    panels.brush.settle?.();
  }

  function undo() {
    const { before } = steps.pop();
    window.TRGBP.reportedAs(before.file);
    window.TRGBP.putPicture(before.file);
    window.TRGBP.ask(before.file, before.crop);
    panels.brush.settle?.();
  }

  panels.brush = (root) => {
    let view = null;
    let held = null; // what was picked up: a picture and a part of it
    const small = element('canvas', { class: 'tg-held', width: 64, height: 64, role: 'img', 'aria-label': 'Nothing is picked up yet' });
    const picture = element('img', { class: 'tg-picture', alt: 'The picture; what lies in the box is changed', draggable: 'false' });
    const area = element('div', { class: 'tg-frame tg-draw', role: 'application', 'data-control': 'brush',
      'aria-label': 'Box on the picture. Drag to draw it, or drag it. Arrow keys move it, with Shift they change its size.' }, picture);
    const { edges, place } = boxOn(area, CELLS, { drags: true });
    place([24, 24, 40, 40]);
    const with_ = element('select', { id: 'tg-cover', 'data-control': 'cover-with' }, element('option', { value: 'mean', text: 'the picture’s mean colour' }), element('option', { value: 'blur', text: 'a blur of what lies there' }));
    const button = (text, control, onclick) => element('button', { type: 'button', class: 'tg-button', 'data-control': control, text, onclick });
    const cover = button('Cover the box', 'cover', () => ask({ how: with_.value }));
    const pick = button('Pick up what lies in the box', 'pick-up', hold);
    const put = button('Put it into the box', 'put-down', () => ask({ how: 'copy', from: { file: held.file }, part: held.part }));
    const back = button('Undo', 'undo', undo);
    const fold = element('details', { class: 'tg-fold', 'data-fold': 'brush' }, element('summary', { text: 'Change the picture: cover a part, or copy it elsewhere' }),
      element('div', { class: 'tg-brush' }, area, element('div', { class: 'tg-brush-side' },
        element('p', {}, cover, element('label', { for: 'tg-cover', text: ' with ' }), with_),
        element('p', {}, pick, small, put),
        element('p', {}, back),
        element('small', { text: 'Drag on the picture to draw the box; drag inside it, or press arrow keys, to move it; with Shift they change its size. The changed picture becomes the page’s picture, in every tab. What you pick up can be put into another picture, too.' }))));
    root.append(fold);

    const box = () => {
      const [left, top, right, bottom] = edges();
      return [left, top, right - left, bottom - top].map((edge) => edge / CELLS);
    };

    function ask(stroke) {
      if (!state.asked?.file) return;
      waits = state.asked;
      settle();
      window.TRGBP.stale(true);
      window.TRGBP.stroke({ ...stroke, box: box(), number: Date.now() });
    }

    function hold() {
      held = { file: state.asked.file, part: box() };
      const [left, top, width, height] = held.part;
      const context = small.getContext('2d');
      const [across, down] = [picture.naturalWidth, picture.naturalHeight];
      const scale = 64 / Math.max(width * across, height * down);
      context.clearRect(0, 0, 64, 64);
      context.drawImage(picture, left * across, top * down, width * across, height * down, 0, 0, width * across * scale, height * down * scale);
      small.setAttribute('aria-label', 'What was picked up');
      settle();
    }

    function settle() {
      cover.disabled = pick.disabled = !view || waits !== null;
      put.disabled = held === null || waits !== null;
      back.disabled = waits !== null || !steps.length || steps.at(-1).path !== state.asked?.file?.path;
      if (waits === null && document.body.dataset.trgbpExplain === state.data.explain?.key) window.TRGBP.stale(state.asked?.file?.path !== view?.path);
    }
    panels.brush.settle = settle;
    settle();

    return (payload) => {
      if (payload.view && payload.view !== view) {
        view = payload.view;
        view.path = state.asked?.file?.path;
        picture.src = view.whole;
        area.style.aspectRatio = `${view.size[0]} / ${view.size[1]}`;
        area.style.setProperty('--tg-shape', view.size[0] / view.size[1]);
      }
      settle();
    };
  };

  Object.assign(window.TRGBP, { painted, painting: () => waits !== null });
})();
