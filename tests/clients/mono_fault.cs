// A refusal and a read with Mono's System.ServiceModel, whose contract declares what the detail of a fault is.

using System;
using System.Runtime.Serialization;
using System.ServiceModel;

[DataContract(Name = "error", Namespace = Chat.Namespace)]
public class ChatError {
    [DataMember(Order = 0)] public string code;
    [DataMember(Order = 1)] public string request_id;
    [DataMember(Order = 2)] public string delivery;
    [DataMember(Order = 3)] public string retry_after;
}

[MessageContract(WrapperName = "getchats", WrapperNamespace = Chat.Namespace)]
public class GetChats {
    [MessageBodyMember(Namespace = Chat.Namespace, Order = 0)] public string platform;
    [MessageBodyMember(Namespace = Chat.Namespace, Order = 1)] public string platformid;
    [MessageBodyMember(Namespace = Chat.Namespace, Order = 2)] public string user;
    [MessageBodyMember(Namespace = Chat.Namespace, Order = 3)] public string password;
}

[MessageContract(WrapperName = "getchatsResponse", WrapperNamespace = Chat.Namespace)]
public class GetChatsResponse {
    [MessageBodyMember(Namespace = Chat.Namespace, Order = 0)] public string request_id;
}

[ServiceContract(Namespace = Chat.Namespace)]
public interface IChat {
    [FaultContract(typeof(ChatError), Name = "error", Namespace = Chat.Namespace)]
    [OperationContract(Action = Chat.Namespace + "#getchats", ReplyAction = "*")]
    GetChatsResponse getchats(GetChats request);
}

public static class Chat {
    public const string Namespace = "urn:chatgate:chat:v1";

    static void Check(string what, string actual, string expected) {
        if (actual != expected) {
            Console.Error.WriteLine("{0}: {1} instead of {2}", what, actual, expected);
            Environment.Exit(1);
        }
    }

    static void CheckFault(IChat chat, GetChats request, string code, string text) {
        try {
            chat.getchats(request);
        } catch (FaultException<ChatError> fault) {
            Check("code", fault.Detail.code, code);
            Check("text", fault.Message, text);
            Check("faultcode", fault.Code.Name, "Client");
            return;
        }
        Check("getchats", "no fault", "a fault");
    }

    public static void Main() {
        var address = new EndpointAddress(Environment.GetEnvironmentVariable("CHATGATE_URL") + "/api/soap/");
        var chat = new ChannelFactory<IChat>(new BasicHttpBinding(), address).CreateChannel();
        var user = Environment.GetEnvironmentVariable("CHATGATE_USER");
        var password = Environment.GetEnvironmentVariable("CHATGATE_PASSWORD");
        var request = new GetChats { platform = "whatsapp", platformid = "100", user = user, password = password };
        Check("request_id", chat.getchats(request).request_id == "" ? "" : "some", "some");
        request.platformid = "999";
        CheckFault(chat, request, "CHANNEL_NOT_FOUND", "The channel does not exist.");
        request.password = "wrong";
        CheckFault(chat, request, "INCORRECT_USER_PASSWORD", "The user or the password is wrong.");
        Console.WriteLine("ok two faults with code and text");
    }
}
