// The whole API with the stubs that WSDL2Java of Axis 1.4 writes from the WSDL of SOAP 1.1.

import java.net.URL;
import javax.xml.rpc.holders.StringHolder;
import v1.chat.chatgate.Chat;
import v1.chat.chatgate.ChatServiceLocator;
import v1.chat.chatgate.GetchatchannelsItem;
import v1.chat.chatgate.GetchatsItem;
import v1.chat.chatgate.holders.GetchatchannelsListHolder;
import v1.chat.chatgate.holders.GetchatsListHolder;
import v1.chat.chatgate.holders.GetmessagesListHolder;
import v1.chat.chatgate.holders.GetunreadmessagesListHolder;

public final class AxisClient {
    // No emoji: Axis writes one as references to two surrogates, which is no XML.
    private static final String TEXT = "Żółć & <b>\"x\"</b> 100% + ü";
    private static final String CAPTION = "]]> and two\nlines";
    private static final String USER = System.getenv("CHATGATE_USER");
    private static final String PASSWORD = System.getenv("CHATGATE_PASSWORD");

    private static void check(String what, Object actual, Object expected) {
        if (!expected.equals(actual)) {
            System.err.println(what + ": " + actual + " instead of " + expected);
            System.exit(1);
        }
    }

    private static void send(Chat chat, String destination) throws Exception {
        StringHolder id = new StringHolder();
        StringHolder delivery = new StringHolder();
        chat.sendmessage("whatsapp", "100", destination, TEXT, USER, PASSWORD, null, id, delivery);
        check("sendmessage", delivery.value, "sent");
        String url = "https://example.com/a.ogg?b=1&c=2";
        chat.sendfile("whatsapp", "100", destination, "voice", url, null, CAPTION, USER, PASSWORD, null, id, delivery);
        check("sendfile", delivery.value, "sent");
    }

    private static void read(Chat chat, String destination) throws Exception {
        StringHolder id = new StringHolder();
        GetmessagesListHolder messages = new GetmessagesListHolder();
        chat.getmessages("whatsapp", "100", destination, USER, PASSWORD, null, id, messages);
        check("getmessages", messages.value.length, 2);
        check("message", messages.value[0].getMessage(), TEXT);
        check("sent", messages.value[0].getSent(), "1");
        check("caption", messages.value[1].getMessage(), CAPTION);
        GetunreadmessagesListHolder unread = new GetunreadmessagesListHolder();
        // A chat that every sandbox has from its start, with one unread message.
        chat.getunreadmessages("whatsapp", "100", "34600000000", USER, PASSWORD, null, id, unread);
        check("unread of the seeded chat", unread.value[0].getIssent(), "0");
        GetchatsListHolder chats = new GetchatsListHolder();
        chat.getchats("whatsapp", "100", USER, PASSWORD, null, id, chats);
        String latest = null;
        for (GetchatsItem item : chats.value) {
            latest = destination.equals(item.getDestination()) ? item.getMessage() : latest;
        }
        check("getchats", latest, CAPTION);
        GetchatchannelsListHolder channels = new GetchatchannelsListHolder();
        chat.getchatchannels(USER, PASSWORD, null, id, channels);
        String name = null;
        for (GetchatchannelsItem item : channels.value) {
            name = "100".equals(item.getPlatformid()) ? item.getName() : name;
        }
        check("getchatchannels", name, "Sales");
    }

    private static void readFault(Chat chat) throws Exception {
        StringHolder id = new StringHolder();
        try {
            chat.getchats("whatsapp", "999", USER, PASSWORD, null, id, new GetchatsListHolder());
        } catch (v1.chat.chatgate.Error fault) {
            check("code", fault.getCode(), "CHANNEL_NOT_FOUND");
            check("faultcode", fault.getFaultCode().getLocalPart(), "Client");
            return;
        }
        check("getchats", "no fault", "a fault");
    }

    public static void main(String[] arguments) throws Exception {
        ChatServiceLocator service = new ChatServiceLocator();
        Chat chat = service.getChatSoap11(new URL(System.getenv("CHATGATE_URL") + "/api/soap/"));
        send(chat, System.getenv("CHATGATE_DESTINATION"));
        read(chat, System.getenv("CHATGATE_DESTINATION"));
        readFault(chat);
        System.out.println("ok 6 operations, 1 error");
    }
}
