// The contact sheet of a retrieval: one HTML file with the pictures inside, to be looked at anywhere.
import path from 'node:path';
import { fileImage, thumbnail } from '@slip/data';
import { escapeHtml } from '@slip/metrics';
import type { EmbeddingFacts } from './embedding-folder.js';

export interface Answer {
  readonly kind: 'text-to-image' | 'image-to-text' | 'image-to-image';
  /** A text, or the path of a picture. */
  readonly query: string;
  /** Best first; score is the cosine. */
  readonly found: readonly { readonly row: number; readonly name: string; readonly score: number }[];
}

/** The file would grow too large for a browser; retrieval.json has all. */
const SHOWN_PER_KIND = 50;
const SIDE = 112;

const STYLE =
  'body{font:14px sans-serif;margin:24px;color:#222}h2{margin-top:32px}.row{display:flex;gap:10px;align-items:flex-start;' +
  'border-top:1px solid #ddd;padding:10px 0}.query{width:220px;flex:none;font-weight:bold}figure{margin:0;width:120px}' +
  'figcaption{font-size:11px;color:#666;overflow-wrap:anywhere}ol{margin:0}';

/** @throws SlipError `data` naming a picture that cannot be read */
export async function retrievalPage(answers: readonly Answer[], facts: EmbeddingFacts): Promise<string> {
  const kinds = [...new Set(answers.map(({ kind }) => kind))];
  const sections = await Promise.all(
    kinds.map((kind) =>
      section(
        kind,
        answers.filter((one) => one.kind === kind),
        facts,
      ),
    ),
  );
  return [
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Retrieval</title><style>${STYLE}</style>`,
    `<h1>Retrieval</h1><p>${escapeHtml(facts.model.name)}, ${escapeHtml(facts.model.path)}</p>`,
    ...sections,
    '</html>',
    '',
  ].join('\n');
}

async function section(kind: Answer['kind'], answers: readonly Answer[], facts: EmbeddingFacts): Promise<string> {
  const shown = answers.slice(0, SHOWN_PER_KIND);
  const rows: string[] = [];
  for (const answer of shown) rows.push(await rowOf(answer, facts));
  const left = answers.length - shown.length;
  const more = left > 0 ? `<p>${left} more in retrieval.json</p>` : '';
  return `<h2>${kind.replaceAll('-', ' ')}</h2>\n${rows.join('\n')}\n${more}`;
}

async function rowOf({ kind, query, found }: Answer, facts: EmbeddingFacts): Promise<string> {
  const inFolder = (name: string) => (facts.images === undefined ? name : path.resolve(facts.images.root, name));
  const asked = kind === 'text-to-image' ? escapeHtml(query) : await picture(inFolder(query), query);
  const items =
    kind === 'image-to-text'
      ? `<ol>${found.map(({ name, score }) => `<li>${escapeHtml(name)} <small>${score.toFixed(3)}</small></li>`).join('')}</ol>`
      : (
          await Promise.all(found.map(({ name, score }) => picture(inFolder(name), `${score.toFixed(3)} ${name}`)))
        ).join('');
  return `<div class="row"><div class="query">${asked}</div>${items}</div>`;
}

async function picture(file: string, caption: string): Promise<string> {
  const bytes = await thumbnail(fileImage(file), SIDE);
  return `<figure><img alt="" src="data:image/jpeg;base64,${bytes.toString('base64')}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}
