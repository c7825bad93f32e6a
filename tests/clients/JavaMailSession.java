import java.io.ByteArrayOutputStream;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Properties;
import javax.mail.Flags;
import javax.mail.Folder;
import javax.mail.Message;
import javax.mail.Session;
import javax.mail.Store;

/** JavaMail by IMAP and POP3. Arguments: protocol host port tls user password; the trust store is a system property. */
public final class JavaMailSession {
    public static void main(String[] args) throws Exception {
        String protocol = args[0];
        Properties settings = new Properties();
        settings.put("mail." + protocol + ".ssl.enable", String.valueOf(args[3].equals("implicit")));
        settings.put("mail." + protocol + ".starttls.enable", String.valueOf(args[3].equals("starttls")));
        settings.put("mail." + protocol + ".starttls.required", String.valueOf(args[3].equals("starttls")));
        settings.put("mail." + protocol + ".ssl.checkserveridentity", "true");
        settings.put("mail." + protocol + ".timeout", "20000");
        Store store = Session.getInstance(settings).getStore(protocol);
        store.connect(args[1], Integer.parseInt(args[2]), args[4], args[5]);
        Folder inbox = store.getFolder("INBOX");
        inbox.open(Folder.READ_WRITE);
        for (Message message : inbox.getMessages()) {
            ByteArrayOutputStream octets = new ByteArrayOutputStream();
            message.writeTo(octets);
            System.out.println(message.getMessageNumber() + " " + message.getSize() + " " + message.getSubject() + " "
                + message.getContentType().split(";")[0] + " " + hash(octets.toByteArray()));
        }
        if (protocol.equals("imap")) {
            Folder work = store.getFolder(System.getenv().getOrDefault("MAILBOX_PREFIX", "") + "Entwürfe");
            System.out.println("create " + work.create(Folder.HOLDS_MESSAGES));
            inbox.copyMessages(inbox.getMessages(1, 2), work);
            work.appendMessages(inbox.getMessages(1, 1));
            System.out.println("messages " + work.getMessageCount());
            inbox.setFlags(inbox.getMessages(1, 2), new Flags(Flags.Flag.FLAGGED), true);
            System.out.println("folders " + Arrays.stream(store.getDefaultFolder().list("*")).map(Folder::getFullName).sorted().toList());
            System.out.println("delete " + work.delete(true));
        }
        inbox.getMessage(3).setFlag(Flags.Flag.DELETED, true);
        inbox.close(true);
        store.close();
    }

    private static String hash(byte[] octets) throws Exception {
        StringBuilder text = new StringBuilder();
        for (byte octet : MessageDigest.getInstance("SHA-256").digest(octets)) {
            text.append(String.format("%02x", octet));
        }
        return text.toString();
    }
}
