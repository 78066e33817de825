// Captions beside an image: NAME.txt (the whole text), or NAME.json with a member `caption`, as img2dataset writes both.
import { SlipError } from '@slip/core';

export const CAPTION_EXTENSIONS = ['.txt', '.json'];

/** @returns at least one caption, or undefined when there is none in it. @throws SlipError `data` for JSON that is none */
export function captionsIn(extension: string, content: Buffer, where: string): string[] | undefined {
  if (extension === '.txt') return [content.toString('utf8').trim()];
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch (error) {
    throw new SlipError('data', `${where} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  const { caption, captions, text } = (value ?? {}) as Record<string, unknown>;
  const found = captions ?? caption ?? text;
  const list = Array.isArray(found) ? found : [found];
  return list.length > 0 && list.every((one) => typeof one === 'string') ? (list as string[]) : undefined;
}
