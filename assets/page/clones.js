// At every status of every event Gradio's page copies what its components hold, down to each number and each text: with a thousand classes in
// a list and a megabyte of maps that takes longer than the answer. A number's or a text's structured clone is itself.
(() => {
  const clone = window.structuredClone;
  window.structuredClone = (value, options) => (Object(value) === value || typeof value === 'symbol' || options !== undefined ? clone(value, options) : value);
})();
