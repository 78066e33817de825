// Image files to RGB bytes in memory, as Pillow's `convert('RGB')` gives them; no resizing, no EXIF rotation, no colour
// management. (CMYK files are the exception: they go through a generic profile, so their colours differ slightly.)
import sharp from 'sharp';
import { type PixelImage, pixelImage } from '../transforms/pixel-image.js';
import { fileImage, unreadable } from './image-source.js';
import type { PictureSource } from './pixel-source.js';

/** Larger pictures are refused before they are unpacked. */
const MAX_PIXELS = 200_000_000;

// Parallelism comes from loader threads and ranks; the files are small and each is read once.
sharp.concurrency(1);
sharp.cache(false);

/**
 * A file that ends early gives the part that is there, the rest grey (JPEG) or black, as the reference reads it.
 * @param image a path, or wherever the bytes are; pixels that are stored as such are only read
 * @throws SlipError `data` naming the file
 */
export async function decodeImage(image: string | PictureSource): Promise<PixelImage> {
  const source = typeof image === 'string' ? fileImage(image) : image;
  if ('pixels' in source) return source.pixels();
  const bytes = await source.bytes();
  if (bytes.length === 0) throw unreadable(source.name, 'it is empty');
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'none', ignoreIcc: true })
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels === 3) return pixelImage(info.width, info.height, 3, data);
    return pixelImage(info.width, info.height, 3, replicateGrey(data, info.channels));
  } catch (error) {
    throw unreadable(source.name, (error as Error).message.split('\n')[0], error);
  }
}

function replicateGrey(data: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let i = 0; i * channels < data.length; i++) rgb.fill(data[i * channels], 3 * i, 3 * i + 3);
  return rgb;
}
