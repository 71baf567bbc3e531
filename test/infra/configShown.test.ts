import * as assert from 'uvu/assert';
import { showSettings } from '../../infra/config.ts';
import { suite } from '../harness.ts';

const test = suite('settings as shown');

test('no way of writing an address shows its password or token', () => {
  const at = 'me:sekret@one';
  const written = {
    DATABASE_URL: [`postgres://${at}/db`, 'postgres://one/db?user=me&password=sekret'],
    DATABASE_READ_URL: [`postgres://${at}/db`],
    EVENTSTORE_URL: [`esdb://${at}:2113`, `esdb://${at}:2113,two:2113?tls=true`],
    NATS_URL: [at, `${at}:4222`, 'sekret@one:4222', 'nats://sekret@one', `nats://${at}, nats://${at}`],
  };
  for (const [name, values] of Object.entries(written))
    for (const value of values) {
      const shown = showSettings({ DATABASE_URL: 'postgres://one/db', [name]: value });
      assert.not.match(JSON.stringify(shown), /sekret/, `${name}=${value}`);
    }
});

test.run();
