// A model that cannot do what is asked of it is refused before a worker is started, in one line.
import type { UseConfig } from '@slip/config';
import { cacheFolder, findPretrained, openWeights, requireTexts } from '@slip/weights';

/** @throws SlipError `config` for a model without texts, or as opening weights does */
export async function checkModel(config: UseConfig, environment: NodeJS.ProcessEnv): Promise<void> {
  const what = textsFor(config);
  if (config.resume === '' || what === undefined) return;
  const file = await findPretrained(config.resume, cacheFolder(environment));
  const weights = await openWeights(file);
  await weights.close();
  requireTexts(file, weights.model.family, what);
}

/** What needs texts, in words; undefined where pictures are enough. */
function textsFor(config: UseConfig): string | undefined {
  switch (config.task) {
    case 'embed':
      return config.texts === '' ? undefined : '--texts';
    case 'retrieve':
      return config.query === undefined ? undefined : '--query';
    case 'predict':
      return 'choosing among labels';
    case 'recall':
      return 'comparing pictures with captions';
    case 'zeroshot':
      return 'zero-shot classification';
    default:
      return config satisfies never;
  }
}
