// imapflow: log in, look, file, mark, wait, tidy up. It compresses where the server offers it.
// Arguments: host port tls ca user password; NODE_PATH is where imapflow is installed.
import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const [host, port, tls, ca, user, pass] = process.argv.slice(2);
const {ImapFlow} = createRequire(`${process.env.NODE_PATH}/`)('imapflow');
const client = new ImapFlow({
    host, port: Number(port), secure: tls === 'implicit', doSTARTTLS: tls === 'starttls' ? true : undefined,
    tls: {ca: readFileSync(ca), servername: 'localhost'}, auth: {user, pass}, logger: false, clientInfo: {name: 'test'},
});
const say = (...words) => console.log(...words.map((word) => typeof word === 'string' ? word : JSON.stringify(word)));
const hash = (octets) => createHash('sha256').update(octets).digest('hex');

await client.connect();
const lock = await client.getMailboxLock('INBOX');
say('exists', client.mailbox.exists);
for await (const message of client.fetch('1:*', {uid: true, flags: true, envelope: true, bodyStructure: true, size: true, source: true})) {
    say('message', message.uid, message.size, [...message.flags].filter((flag) => flag !== '\\Recent').sort(), hash(message.source),
        message.envelope.subject ?? '', message.bodyStructure.type);
}
const found = await client.search({all: true}, {uid: true});
say('search', found);
const {content} = await client.download(String(found[0]), undefined, {uid: true});
const pieces = [];
for await (const piece of content) pieces.push(piece);
say('download', hash(Buffer.concat(pieces)));
await client.mailboxCreate('Entwürfe');
say('folders', (await client.list()).map((folder) => folder.path).sort());
const letter = 'From: ada@example.com\r\nSubject: x\r\n\r\nA letter.\r\n.\r\n';
say('append', Boolean(await client.append('Entwürfe', letter, ['\\Seen'])));
say('copy', Boolean(await client.messageCopy(String(found[0]), 'Entwürfe', {uid: true})));
say('move', Boolean(await client.messageMove(String(found[1]), 'Entwürfe', {uid: true})));
say('flag', await client.messageFlagsAdd(String(found[2]), ['\\Flagged'], {uid: true}));
const news = new Promise((resolve) => client.once('exists', resolve));
const idle = client.idle();
const other = new ImapFlow({...client.options, logger: false});
await other.connect();
await other.append('INBOX', letter);
await other.logout();
await news;
await client.noop();
await idle;
say('status', (await client.status('Entwürfe', {messages: true, unseen: true})).messages);
say('delete', await client.messageDelete(String(found[3]), {uid: true}));
lock.release();
await client.mailboxDelete('Entwürfe');
await client.logout();
say('bye');
