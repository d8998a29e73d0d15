// Amendments to Gradio's own page: cheap copies, the page's language, names for what has none, and which tab is open.
(() => {
  // Whenever an event's status changes Gradio copies what its components hold, down to each number and text: with a list of a thousand classes
  // some 150,000 copies a picture, 1.6 s where they are made by the browser and 0.15 s here. A number's or a text's copy is itself.
  const clone = window.structuredClone;
  window.structuredClone = (value, options) => (Object(value) === value || typeof value === 'symbol' || options !== undefined ? clone(value, options) : value);

  // Gradio writes its own few words in the visitor's language, and everything else is English: one page, one language.
  Object.defineProperties(navigator, { language: { get: () => 'en' }, languages: { get: () => ['en'] } });
  const language = () => { if (document.documentElement.lang !== 'en') document.documentElement.lang = 'en'; };
  new MutationObserver(language).observe(document.documentElement, { attributeFilter: ['lang'] });
  language();

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

  // A click into the field of a list selects what is in it, so that typing searches.
  const FIELDS = '#tg-class input, #tg-model input';
  let entered = null;
  document.addEventListener('focusin', ({ target }) => {
    entered = target.matches?.(FIELDS) ? target : null;
    entered?.select();
  });
  document.addEventListener('click', ({ target }) => {
    if (target === entered) target.select(); // the press of the mouse has put the cursor into the text
    entered = null;
  });

  // Of a picture that cannot be shown no part is shown.
  const shown = (is) => ({ target }) => { if (target.tagName === 'IMG' && target.closest('#tg-input')) target.classList.toggle('tg-unreadable', !is); };
  document.addEventListener('error', shown(false), true);
  document.addEventListener('load', shown(true), true);

  // The tab that is exported; the five classes side by side are a part of Explain with an export of its own.
  window.TRGBP_OPEN_TAB = () => {
    const tab = document.querySelector('[role=tab][aria-selected=true]')?.dataset.tabId || '';
    return tab === 'explain' && document.querySelector('#tg-classes')?.open ? 'classes' : tab;
  };
})();
