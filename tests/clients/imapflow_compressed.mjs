// imapflow, which uses COMPRESS=DEFLATE whenever it is offered: looks, fetches everything, files, waits, leaves.
//
//   npm install imapflow                                             in any directory
//   IMAPFLOW=that-directory node imapflow_compressed.mjs PORT CA USER PASSWORD
//
// Prints what it saw as JSON, with whether the connection was compressed.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { ImapFlow } = createRequire(join(process.env.IMAPFLOW ?? process.cwd(), 'x.js'))('imapflow');
const [port, ca, user, pass] = process.argv.slice(2);

const connect = async () => {
    const client = new ImapFlow({
        host: 'localhost',
        port: Number(port),
        secure: true,
        tls: { ca: readFileSync(ca) },
        auth: { user, pass },
        logger: false,
    });
    await client.connect();
    return client;
};

const seen = {};
const client = await connect();
seen.compressed = Boolean(client._inflate && client._deflate);
seen.folders = (await client.list()).map(folder => folder.path).sort();

const lock = await client.getMailboxLock('INBOX');
seen.messages = [];
for await (const message of client.fetch('1:*', { uid: true, flags: true, envelope: true, source: true })) {
    const hash = createHash('sha256').update(message.source).digest('hex');
    seen.messages.push([message.uid, [...message.flags].sort(), message.envelope.subject ?? null, message.source.length, hash]);
}
await client.messageFlagsAdd('1', ['\\Flagged']);
seen.flagged = await client.search({ flagged: true });

const news = new Promise(resolve => client.once('exists', ({ count }) => resolve(count)));
client.idle();
const other = await connect();
const letter = 'Subject: large\r\n\r\n' + 'All work and no play\r\n'.repeat(50_000);
seen.appended = Boolean(await other.append('INBOX', letter, ['\\Seen']));
await other.logout();
seen.news = await news;
const { source } = await client.fetchOne('*', { source: true });
seen.large = source.toString() === letter;
lock.release();
await client.logout();
console.log(JSON.stringify(seen, null, 1));
