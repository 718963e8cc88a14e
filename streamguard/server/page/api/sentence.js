/**
 * @param {string} text
 * @returns {string} with a capital at the begin and a stop at the end
 */
export function sentence(text) {
  const said = text.trim();
  const ended = /[.!?]$/.test(said) ? said : `${said}.`;
  // An address or a file's name stays as it is written.
  return /^[a-z]+[\s,]/.test(ended) ? ended.charAt(0).toUpperCase() + ended.slice(1) : ended;
}
