// The panel of the tab Camera: frames go to the server one at a time, each the newest there is, and come back as two maps.
(() => {
  const { state, SIDE, element, figure, scale } = window.TRGBP;
  const [PATIENCE, LONGER] = [4000, 10000]; // milliseconds; an answer that has not come by then does not come; the second where none has come yet
  const LOST = 1500; // milliseconds; what is not answered by then, when the page is loaded again, was asked of a server that was away
  const GOES_ON = 'trgbpCamera';
  const SILENT = 'No answer from the server: the camera goes on as soon as it answers again.';
  const WAIT = 300; // milliseconds until the next frame where others come first
  const FROZEN_SIDE = 720;
  const NONE = 'This browser has no camera for this page: browsers give it to pages over https, or on the computer itself (localhost), only.';
  const WHY = {
    NotAllowedError: 'The browser may not use the camera: allow it for this page, beside its address, and start again.',
    NotFoundError: 'There is no camera on this device.',
    NotReadableError: 'The camera cannot be used: perhaps another program uses it.',
  };

  // The middle square of what the camera shows, at a side.
  function square(video, side) {
    const canvas = element('canvas', { width: side, height: side });
    const length = Math.min(video.videoWidth, video.videoHeight);
    const at = [(video.videoWidth - length) / 2, (video.videoHeight - length) / 2];
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingQuality = 'high';
    context.drawImage(video, ...at, length, length, 0, 0, side, side);
    return canvas;
  }

  // A picture of the browser's own becomes the page's, as if it had been chosen as a file.
  async function upload(blob, name) {
    const body = new FormData();
    body.append('files', blob, name);
    const answer = await fetch(`${window.gradio_config.root}${window.gradio_config.api_prefix || ''}/upload`, { method: 'POST', body });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || 'The picture did not reach the server.');
    const [path] = await answer.json();
    const url = `${window.gradio_config.root}${window.gradio_config.api_prefix || ''}/file=${path}`;
    window.TRGBP.putPicture({ path, url, orig_name: name, mime_type: blob.type, size: blob.size, meta: { _type: 'gradio.FileData' } });
  }

  window.TRGBP.panels.camera = (root) => {
    const video = element('video', { playsinline: '', muted: '', 'aria-label': 'What the camera shows' });
    video.muted = true;
    const [own, other] = [figure(), figure()];
    const said = element('p', { class: 'tg-line', role: 'status', text: 'What the camera shows appears here, with two maps over it. Nothing is kept, here or on the server.' });
    const button = (text, control, onclick, more = {}) => element('button', { type: 'button', class: 'tg-button', 'data-control': control, text, onclick, ...more });
    const start = button('Start the camera', 'camera-start', () => begin(), { class: 'tg-button tg-primary' });
    const stop = button('Stop', 'camera-stop', () => end('Stopped.'), { disabled: '' });
    const freeze = button('Freeze: explain this frame', 'camera-freeze', () => keep(), { disabled: '' });
    const pictures = element('div', { class: 'tg-row tg-camera', hidden: '' },
      element('figure', { class: 'tg-figure' }, element('div', { class: 'tg-frame' }, video),
        element('figcaption', {}, element('strong', { text: 'The camera' }), element('span', { text: 'The network sees the middle square. Nothing is kept, here or on the server.' }))), own, other);
    const legend = scale();
    root.append(element('p', { class: 'tg-actions' }, start, stop, freeze), said, pictures, legend);
    legend.hidden = true;
    let stream = null;
    let side = SIDE;
    let asked = null; // the frame that the server has: its number, and its pixels
    let number = 0;
    let late = 0;
    let times = [];
    let silent = false; // a frame was not answered, and none has been since
    // Gradio loads the page again when a server that was away answers: the camera goes on then.
    let goesOn = sessionStorage.getItem(GOES_ON) !== null;
    sessionStorage.removeItem(GOES_ON);
    window.addEventListener('pagehide', () => { if (stream && (silent || (asked && performance.now() - asked.at > LOST))) sessionStorage.setItem(GOES_ON, 'yes'); });

    const say = (sentence) => { said.textContent = sentence; };

    function running(is) {
      document.body.classList.toggle('tg-live', is);
      start.disabled = is;
      stop.disabled = freeze.disabled = !is;
      state.pinned = null;
      state.live = is ? pin : null;
    }

    async function begin() {
      if (!navigator.mediaDevices?.getUserMedia) { say(NONE); return; }
      start.disabled = true;
      say('Waiting for the camera …');
      let found = null;
      try {
        found = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: 'environment', width: { ideal: 960 } } });
        stream = found;
        video.srcObject = found;
        await video.play();
      } catch (error) {
        if (stream === found) end(WHY[error.name] || `The camera does not start: ${error.message}`);
        return;
      }
      if (stream !== found) return; // it was stopped meanwhile
      found.getTracks()[0].addEventListener('ended', () => { if (stream === found) end('The camera has stopped.'); });
      running(true);
      pictures.hidden = legend.hidden = false;
      times = [];
      silent = false;
      say('Asking the network …');
      next();
      left();
    }

    function end(sentence) {
      clearTimeout(late);
      stream?.getTracks().forEach((track) => track.stop());
      const was = stream !== null;
      [stream, asked, video.srcObject] = [null, null, null];
      running(false);
      say(sentence);
      if (!was || !state.data.explain) return;
      state.updates.answer?.(state.data.explain);
      state.updates.contrast?.();
    }

    // Whether somebody looks: the page, and on it this tab.
    const seen = () => !document.hidden && root.isConnected && window.TRGBP_OPEN_TAB() === 'camera';
    function left() {
      if (stream && !seen()) end('Stopped, since this tab was left.');
      if (goesOn && seen()) { goesOn = false; begin(); }
    }
    document.addEventListener('visibilitychange', left);
    new MutationObserver(left).observe(document.body, { attributes: true, subtree: true, attributeFilter: ['aria-selected'] });
    left();

    function next() {
      if (!stream) return;
      number += 1;
      const shot = square(video, side);
      asked = { number, at: performance.now(), pixels: square(video, SIDE).getContext('2d').getImageData(0, 0, SIDE, SIDE).data };
      clearTimeout(late);
      late = setTimeout(miss, times.length ? PATIENCE : LONGER);
      window.TRGBP.askFrame({ number: String(number), frame: shot.toDataURL('image/jpeg', 0.9), class: state.pinned });
    }

    function miss() {
      times = [];
      silent = true;
      say(SILENT);
      next();
    }

    function pin(k) {
      state.pinned = state.pinned === k ? null : k;
    }

    async function keep() {
      const shot = square(video, Math.min(FROZEN_SIDE, video.videoWidth, video.videoHeight));
      end('This frame is the page’s picture now.');
      try {
        await upload(await new Promise((done) => { shot.toBlob(done, 'image/png'); }), 'camera.png');
        document.querySelector('[role=tab][data-tab-id="explain"]')?.click();
      } catch (error) {
        say(error.message);
      }
    }

    function show(found, pixels) {
      silent = false;
      times = [...times.slice(-10), performance.now()];
      const rate = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1) - times[0]) : null;
      say(`${found.model} sees: ${found.answers[0].name}, ${window.TRGBP.percent(found.answers[0].probability)}. ${state.pinned === null
        ? 'A click on a class above keeps it.' : `Explained: ${found.class.name}; click it again for the best class.`}${rate ? ` ${rate.toFixed(1)} frames a second.` : ''}`);
      state.updates.answer?.(found);
      [own, other].forEach((one, i) => {
        const about = { ...found.panels[i], under: true, underData: pixels, caption: i ? '' : `for ${found.class.name}` };
        if (about.src) one.show(about);
        else one.clear();
        one.querySelector('strong').textContent = about.title;
        one.querySelector('.tg-empty').textContent = about.empty || '';
      });
    }

    return (found) => {
      if (!stream || found.key !== String(asked?.number)) return;
      clearTimeout(late);
      if (found.wrong) { end(found.wrong); return; }
      if (found.waits) {
        say(found.waits);
        late = setTimeout(next, WAIT);
        return;
      }
      const { pixels } = asked;
      side = found.side;
      next();
      show(found, pixels);
    };
  };

  Object.assign(window.TRGBP, { upload });
})();
