// Captions before they are split: repaired by ftfy, HTML entities resolved, white space folded, lower case (reference 5.5.4).
import { decodeHTML } from 'entities';
import { fix_text } from 'ftfy-js';

/** Python's white space; JavaScript's has U+FEFF and lacks U+0085 and U+001C to U+001F. */
export const WHITE_SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const RUN = new RegExp(`[${WHITE_SPACE}]+`, 'gu');
const EDGES = new RegExp(`^[${WHITE_SPACE}]+|[${WHITE_SPACE}]+$`, 'gu');

export function cleanText(text: string): string {
  const plain = unescapeHtml(unescapeHtml(fix_text(text)));
  return plain.replace(EDGES, '').replace(RUN, ' ').replace(EDGES, '').toLowerCase();
}

/** Python's `html.unescape`: as browsers do it, but references to characters that cannot be are dropped. */
export function unescapeHtml(text: string): string {
  return text.includes('&') ? decodeHTML(text.replace(/&#(x[0-9a-f]+|[0-9]+);?/giu, dropInvalid)) : text;
}

function dropInvalid(reference: string, digits: string): string {
  const code = /^x/i.test(digits) ? Number.parseInt(digits.slice(1), 16) : Number.parseInt(digits, 10);
  const isControl = (code >= 1 && code <= 8) || code === 0xb || (code >= 0xe && code <= 0x1f) || code === 0x7f;
  const isNonCharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code <= 0x10ffff && (code & 0xfffe) === 0xfffe);
  return isControl || isNonCharacter ? '' : reference;
}
