// Times in the page: when an event happened, and when the frame that answers it was on the screen.
window.stopwatch = (() => {
  const watch = { last: {}, armed: 0, explained: 0, answered: 0, stages: [], times: [], seen: [], late: [] };
  const afterFrame = (then) => requestAnimationFrame(() => {
    const channel = new MessageChannel(); // its task runs once the frame is out
    channel.port1.onmessage = () => then(performance.now());
    channel.port2.postMessage(null);
  });
  for (const name of ['mousedown', 'click', 'keydown', 'change']) {
    document.addEventListener(name, (event) => { if (event.isTrusted || name === 'change') watch.last[name] = event.timeStamp; }, true);
  }

  const sum = (selector) => {
    const canvas = document.querySelector(selector);
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let hash = 0;
    for (let i = 0; i < data.length; i += 7) hash = (hash * 31 + data[i]) | 0;
    return hash;
  };

  // From now on, time every input of one control until the frame that follows it; `seen` is what the canvas held then, `late` 100 ms later.
  watch.watch = (control, selector) => {
    Object.assign(watch, { times: [], seen: [], late: [], control, selector });
  };
  document.addEventListener('input', (event) => {
    if (event.target.dataset?.control !== watch.control) return;
    const begun = event.timeStamp;
    const { seen, late, times, selector } = watch;
    afterFrame((now) => {
      times.push(now - begun);
      seen.push(sum(selector));
      setTimeout(() => late.push(sum(selector)), 100);
    });
  }, true);

  watch.arm = () => { watch.armed = performance.now(); watch.stages = []; };
  document.addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
    for (const { attributeName } of changes) {
      if (attributeName === 'data-trgbp-explain') afterFrame((now) => { watch.explained = now; });
      if (['data-trgbp-contrast', 'data-trgbp-shares'].includes(attributeName)) afterFrame((now) => { watch.answered = now; });
      if (attributeName === 'data-trgbp-cascade') {
        afterFrame((now) => {
          const stage = window.TRGBP.state.data.cascade.stages.at(-1);
          watch.stages.push({ time: now, index: stage.index, total: stage.total });
        });
      }
    }
  }).observe(document.body, { attributes: true }));
  return watch;
})();
