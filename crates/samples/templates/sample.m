// Calls {{ call.method }} of the chat API by {{ call.way }}. Foundation of Apple or GNUstep; needs {{ call.secret }} in the environment.
// GNUstep: gcc sample.m $(gnustep-config --objc-flags) $(gnustep-config --base-libs) -o sample

#import <Foundation/Foundation.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(NSString *why)
{
    fprintf(stderr, "%s\n", [why UTF8String]);
    exit(1);
}

// Encodes everything except ASCII letters and digits. A plus sign is encoded too, because a form would read it as a space.
static void add(NSMutableString *form, NSString *name, NSString *value)
{
    NSCharacterSet *plain = [NSCharacterSet characterSetWithCharactersInString:
        @"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"];
    [form appendFormat: @"%@%@=%@", [form length] == 0 ? @"" : @"&", name,
        [value stringByAddingPercentEncodingWithAllowedCharacters: plain]];
}

static NSDictionary *post(NSString *url, NSString *form, NSString *authorization)
{
#ifdef GNUSTEP
    if (![[url lowercaseString] hasPrefix: @"http:"]) {
        fail(@"GNUstep does not verify the owner of a certificate; call the chat API by plain HTTP on this machine");
    }
#endif
    NSMutableURLRequest *request = [NSMutableURLRequest requestWithURL: [NSURL URLWithString: url]
        cachePolicy: NSURLRequestReloadIgnoringLocalCacheData timeoutInterval: 30];
    [request setHTTPMethod: @"POST"];
    [request setHTTPBody: [form dataUsingEncoding: NSUTF8StringEncoding]];
    [request setValue: @"application/x-www-form-urlencoded" forHTTPHeaderField: @"Content-Type"];
    if (authorization != nil) {
        [request setValue: authorization forHTTPHeaderField: @"Authorization"];
    }
    NSURLResponse *response = nil;
    NSError *error = nil;
    // In an app, use NSURLSession, because this call blocks until the response arrives.
    NSData *body = [NSURLConnection sendSynchronousRequest: request returningResponse: &response error: &error];
    if (body == nil) {
        fail([NSString stringWithFormat: @"no answer: %@", [error localizedDescription]]);
    }
    id answer = [NSJSONSerialization JSONObjectWithData: body options: 0 error: &error];
    if (![answer isKindOfClass: [NSDictionary class]]) {
        fail(@"not an answer of the chat API");
    }
    return answer;
}

static int run(void)
{
    NSString *secret = [[[NSProcessInfo processInfo] environment] objectForKey: @"{{ call.secret }}"];
    if ([secret length] == 0) {
        fail(@"{{ call.secret }} is not set");
    }
    NSMutableString *form = [NSMutableString string];
    add(form, @"class", @"chat");
    add(form, @"method", @"{{ call.method }}");
{%- if call.http %}
    add(form, @"user", {{ call.user }});
    add(form, @"password", secret);
{%- endif %}
{%- for field in call.fields %}
    add(form, @"{{ field.name }}", {{ field.value }});
{%- endfor %}
{%- if call.send %}
    // Use one key per message: a retry with the same key never sends the message twice.
    add(form, @"idempotency_key", [[NSProcessInfo processInfo] globallyUniqueString]);
{%- endif %}
{%- if call.http %}
    NSString *authorization = nil;
{%- endif %}
{%- if call.basic %}
    NSData *login = [[NSString stringWithFormat: @"%@:%@", {{ call.user }}, secret] dataUsingEncoding: NSUTF8StringEncoding];
    NSString *authorization = [@"Basic " stringByAppendingString: [login base64EncodedStringWithOptions: 0]];
{%- endif %}
{%- if call.jwt %}
    NSMutableString *login = [NSMutableString string];
    add(login, @"grant_type", @"client_credentials");
    add(login, @"client_id", {{ call.client_id }});
    add(login, @"client_secret", secret);
    add(login, @"scope", @"{{ call.method }}");
    NSDictionary *token = post({{ call.token_url }}, login, nil);
    if ([token objectForKey: @"access_token"] == nil) {
        fail([NSString stringWithFormat: @"no token: %@", [token objectForKey: @"error"]]);
    }
    NSString *authorization = [@"Bearer " stringByAppendingString: [token objectForKey: @"access_token"]];
{%- endif %}
    NSDictionary *answer = post({{ call.url }}, form, authorization);
    // An error may have HTTP status 200, so check the status in the response.
    if (![[answer objectForKey: @"status"] isEqual: @"SUCCESS"]) {
        fail([[answer objectForKey: @"error"] description]);
    }
    NSData *json = [NSJSONSerialization dataWithJSONObject: answer options: 0 error: NULL];
    fwrite([json bytes], 1, [json length], stdout);
    putchar('\n');
    return 0;
}

int main(void)
{
#ifdef __clang__
    @autoreleasepool {
        return run();
    }
#else
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    int code = run();
    [pool drain];
    return code;
#endif
}
