// sharp, loaded when a picture is met that needs it: most are JPEG, which does not, and its library takes a few percent of a worker's start.
import type sharp from 'sharp';

export async function loadSharp(): Promise<typeof sharp> {
  const { default: loaded } = await import('sharp');
  // Parallelism comes from loader threads and ranks; the files are small and each is read once.
  loaded.concurrency(1);
  loaded.cache(false);
  return loaded;
}
