// A figure inside somebody else's page.

/** A text inside an attribute. @param {string} text */
const quoted = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

/**
 * The HTML that shows a figure elsewhere. It is as wide as its place, and of a height in which all of it is seen.
 *
 * @param {string} page of the figure alone @param {string} fragment its state @param {string} title
 */
export const embedCode = (page, fragment, title) =>
  `<iframe src="${quoted(new URL(fragment, page).href)}" title="${quoted(title)}" loading="lazy" ` +
  `allow="clipboard-write" style="width:100%;aspect-ratio:4/3;min-height:640px;max-height:720px;border:0"></iframe>`;
