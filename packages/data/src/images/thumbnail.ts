// A small picture for a page that people look at.
import { type ImageSource, unreadable } from './image-source.js';
import { loadSharp } from './load-sharp.js';

/** @returns a JPEG of at most `side` pixels. @throws SlipError `data` naming the file */
export async function thumbnail(source: ImageSource, side: number): Promise<Buffer> {
  const bytes = await source.bytes();
  const sharp = await loadSharp();
  try {
    return await sharp(bytes, { failOn: 'none' })
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#ffffff' })
      .jpeg({ quality: 80 })
      .toBuffer();
  } catch (error) {
    throw unreadable(source.name, (error as Error).message.split('\n')[0], error);
  }
}
