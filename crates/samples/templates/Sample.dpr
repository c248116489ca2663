// Calls {{ call.method }} of the chat API by {{ call.way }}. Delphi 10.3 or newer, or Free Pascal (fpc -Mdelphi Sample.dpr); needs
// {{ call.secret }} in the environment.
program Sample;

{$IFDEF FPC}
  {$MODE DELPHI}
  {$CODEPAGE UTF8}
{$ELSE}
  {$APPTYPE CONSOLE}
{$ENDIF}

uses
{$IFDEF FPC}
  SysUtils, Classes, base64, fpjson, jsonparser, fphttpclient;
{$ELSE}
  System.SysUtils, System.Classes, System.JSON, System.NetEncoding, System.Net.URLClient, System.Net.HttpClient;
{$ENDIF}

procedure Fail(const Why: string);
begin
  WriteLn(ErrOutput, Why);
  Halt(1);
end;

{$IFDEF FPC}

procedure Add(Form: TStrings; const Name: string; const Value: UTF8String);
begin
  Form.Add(Name + '=' + Value);
end;

function EncodeBase64(const Text: UTF8String): string;
begin
  Result := EncodeStringBase64(Text);
end;

function Post(const Url: string; Form: TStrings; const Authorization: string): string;
var
  Client: TFPHTTPClient;
  Body: TStringStream;
begin
  if not Url.StartsWith('http:', True) then
    Fail('Free Pascal does not check whose certificate it is shown; reach the chat API by plain HTTP on this machine');
  Client := TFPHTTPClient.Create(nil);
  Body := TStringStream.Create('');
  try
    Client.ConnectTimeout := 5000;
    Client.IOTimeout := 30000;
    if Authorization <> '' then
      Client.AddHeader('Authorization', Authorization);
    Client.FormPost(Url, Form, Body);
    Result := Body.DataString;
  finally
    Body.Free;
    Client.Free;
  end;
end;

function Member(const Json, Name: string): string;
var
  Data: TJSONData;
begin
  Data := GetJSON(Json);
  try
    Result := TJSONObject(Data).Get(Name, '');
  finally
    Data.Free;
  end;
end;

{$ELSE}

procedure Add(Form: TStrings; const Name, Value: string);
begin
  Form.Add(Name + '=' + Value);
end;

function EncodeBase64(const Text: string): string;
var
  Base64: TBase64Encoding;
begin
  // 0: no line breaks.
  Base64 := TBase64Encoding.Create(0);
  try
    Result := Base64.Encode(Text);
  finally
    Base64.Free;
  end;
end;

function Post(const Url: string; Form: TStrings; const Authorization: string): string;
var
  Client: THTTPClient;
  Headers: TNetHeaders;
begin
  Client := THTTPClient.Create;
  try
    Client.ConnectionTimeout := 5000;
    Client.ResponseTimeout := 30000;
    if Authorization <> '' then
      Headers := [TNameValuePair.Create('Authorization', Authorization)];
    Result := Client.Post(Url, Form, nil, TEncoding.UTF8, Headers).ContentAsString(TEncoding.UTF8);
  finally
    Client.Free;
  end;
end;

function Member(const Json, Name: string): string;
var
  Data: TJSONValue;
begin
  Result := '';
  Data := TJSONObject.ParseJSONValue(Json);
  if Data = nil then
    Exit;
  try
    Data.TryGetValue<string>(Name, Result);
  finally
    Data.Free;
  end;
end;

{$ENDIF}

procedure Call;
var
  Secret, Answer, Authorization: string;
  Form: TStringList;
{%- if call.send %}
  Key: TGUID;
{%- endif %}
begin
  Secret := GetEnvironmentVariable('{{ call.secret }}');
  if Secret = '' then
    Fail('{{ call.secret }} is not set');
  Authorization := '';
  Form := TStringList.Create;
  try
{%- if call.basic %}
    Authorization := 'Basic ' + EncodeBase64({{ call.user }} + ':' + Secret);
{%- endif %}
{%- if call.jwt %}
    Add(Form, 'grant_type', 'client_credentials');
    Add(Form, 'client_id', {{ call.client_id }});
    Add(Form, 'client_secret', Secret);
    Add(Form, 'scope', '{{ call.method }}');
    Answer := Post({{ call.token_url }}, Form, '');
    if Member(Answer, 'access_token') = '' then
      Fail('no token: ' + Member(Answer, 'error'));
    Authorization := 'Bearer ' + Member(Answer, 'access_token');
    Form.Clear;
{%- endif %}
    Add(Form, 'class', 'chat');
    Add(Form, 'method', '{{ call.method }}');
{%- if call.http %}
    Add(Form, 'user', {{ call.user }});
    Add(Form, 'password', Secret);
{%- endif %}
{%- for field in call.fields %}
    Add(Form, '{{ field.name }}',
{%- for piece in field.pieces %}
      {% if !loop.first %}+ {% endif %}{{ piece }}
{%- endfor %});
{%- endfor %}
{%- if call.send %}
    // Use one key per message: a retry with the same key never sends the message twice.
    CreateGUID(Key);
    Add(Form, 'idempotency_key', Copy(GUIDToString(Key), 2, 36));
{%- endif %}
    Answer := Post({{ call.url }}, Form, Authorization);
    // An error may have HTTP status 200, so check the status in the response.
    if Member(Answer, 'status') <> 'SUCCESS' then
      Fail(Member(Answer, 'error'));
    WriteLn(Answer);
  finally
    Form.Free;
  end;
end;

begin
{$IFDEF FPC}
  SetMultiByteConversionCodePage(CP_UTF8);
{$ENDIF}
  try
    Call;
  except
    on Error: Exception do
      Fail(Error.Message);
  end;
end.
