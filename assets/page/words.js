// Words and access: translations for what the browser builds itself, and names for what Gradio leaves without one.
(() => {
  const languages = navigator.languages?.length ? navigator.languages : [navigator.language || 'en'];
  // The first language that there are words for; English needs none.
  const language = languages.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => tag === 'en' || window.TRGBP_WORDS[tag]) || 'en';
  const words = window.TRGBP_WORDS[language] || {};
  window.TRGBP_TRANSLATE = (text) => words[text] || text;
  document.documentElement.lang = language;

  // Gradio's example pictures are buttons without a name: the file's name says what they show.
  function name(button) {
    const image = button.querySelector('img');
    if (!image || button.hasAttribute('aria-label')) return;
    const file = decodeURIComponent((image.currentSrc || image.src).split('/').pop()).replace(/\.[a-z]+$/i, '').replaceAll('_', ' ');
    button.setAttribute('aria-label', `${window.TRGBP_TRANSLATE('Examples')}: ${file}`);
  }
  function tend() {
    const status = document.querySelector('#tg-status');
    if (status && !status.hasAttribute('role')) { status.setAttribute('role', 'status'); status.setAttribute('aria-live', 'polite'); }
    document.querySelectorAll('button.gallery-item').forEach(name);
    // A label on an element without a role is not allowed, and says nothing.
    document.querySelectorAll('div[aria-label="Empty value"]:not([role])').forEach((empty) => empty.setAttribute('role', 'img'));
  }
  let waiting = 0;
  new MutationObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(tend); })
    .observe(document.documentElement, { childList: true, subtree: true });

  // What is taken along is that of the tab which is open.
  window.TRGBP_OPEN_TAB = () => document.querySelector('[role=tab][aria-selected=true]')?.dataset.tabId || '';
})();
