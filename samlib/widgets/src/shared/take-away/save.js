// Giving the reader a file, or a text to paste.

/** @param {string} name @param {Blob} content */
export function save(name, content) {
  const href = URL.createObjectURL(content);
  const link = Object.assign(document.createElement("a"), { href, download: name });
  document.body.append(link); // a link outside the page does nothing in some browsers
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** @param {string} text @returns {Promise<boolean>} could it be copied? */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedFromPage(text);
  }
}

/** Without the clipboard (a page opened from a file may have none), as one copies by hand. @param {string} text */
function copiedFromPage(text) {
  const focus = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
  area.style.cssText = "position:fixed;top:0;opacity:0";
  document.body.append(area);
  area.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } catch {
    // it is not allowed
  }
  area.remove();
  focus?.focus({ preventScroll: true });
  return copied;
}
