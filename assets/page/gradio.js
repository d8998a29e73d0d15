// Amendments to Gradio's own page: cheap copies, the page's language, names for what has none, and which tab is open.
(() => {
  // Whenever an event's status changes Gradio copies what its components hold, down to each number and text: with a list of a thousand classes
  // some 150,000 copies a picture, 1.6 s where they are made by the browser and 0.15 s here. A number's or a text's copy is itself.
  const clone = window.structuredClone;
  window.structuredClone = (value, options) => (Object(value) === value || typeof value === 'symbol' || options !== undefined ? clone(value, options) : value);

  // Gradio writes its own few words in the visitor's language, and everything else is English: one page, one language.
  Object.defineProperties(navigator, { language: { get: () => 'en' }, languages: { get: () => ['en'] } });
  document.documentElement.lang = 'en';

  // Gradio's example pictures are buttons without a name: the file's name says what they show.
  function name(button) {
    const image = button.querySelector('img');
    if (!image || button.hasAttribute('aria-label')) return;
    const file = decodeURIComponent((image.currentSrc || image.src).split('/').pop()).replace(/\.[a-z]+$/i, '').replaceAll('_', ' ');
    button.setAttribute('aria-label', `Examples: ${file}`);
  }
  function addNames() {
    const status = document.querySelector('#tg-status');
    if (status && !status.hasAttribute('role')) { status.setAttribute('role', 'status'); status.setAttribute('aria-live', 'polite'); }
    document.querySelectorAll('button.gallery-item').forEach(name);
    // A label on an element without a role is not allowed, and is not read out.
    document.querySelectorAll('div[aria-label="Empty value"]:not([role])').forEach((empty) => empty.setAttribute('role', 'img'));
  }
  let waiting = 0;
  new MutationObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(addNames); })
    .observe(document.documentElement, { childList: true, subtree: true });

  // The tab that is exported.
  window.TRGBP_OPEN_TAB = () => document.querySelector('[role=tab][aria-selected=true]')?.dataset.tabId || '';
})();
