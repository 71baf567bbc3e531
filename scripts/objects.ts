/** Opens the places that settings name for objects: backups, evidence of the audit. */
import type { ObjectStore } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Settings } from '../infra/config.ts';
import { openFolderObjects } from '../infra/folderObjects.ts';

/**
 * @param place a folder, or `s3://bucket/prefix?endpoint=https://host&region=name`.
 * @throws Refusal `invalid` for another kind of place, or one whose keys are not set.
 */
export async function openObjects(
  place: string,
  settings: Pick<Settings, 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY'>,
): Promise<ObjectStore> {
  if (!place.startsWith('s3://')) {
    if (/^[a-z][a-z0-9+.-]+:\/\//.test(place))
      throw new Refusal('invalid', 'a place for objects is a folder or begins with s3://');
    return openFolderObjects(place);
  }
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = settings;
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new Refusal('invalid', 'a place that begins with s3:// needs S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY');
  const { openS3Objects } = await import('../infra/s3Objects.ts');
  return openS3Objects({ url: place, accessKeyId, secretAccessKey });
}
