"""An invoice to begin from, in order by EN 16931: of the sample companies, made up."""

from __future__ import annotations

from typing import Final

_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd:"

EXAMPLE: Final = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<Invoice xmlns="{_UBL}Invoice-2"
    xmlns:cac="{_UBL}CommonAggregateComponents-2"
    xmlns:cbc="{_UBL}CommonBasicComponents-2">
  <cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID>
  <cbc:ID>LP-2041</cbc:ID>
  <cbc:IssueDate>2039-03-01</cbc:IssueDate>
  <cbc:DueDate>2039-05-30</cbc:DueDate>
  <cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>
  <cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
  <cac:AccountingSupplierParty><cac:Party>
    <cac:PartyIdentification>
      <cbc:ID schemeID="0088">9521321000018</cbc:ID>
    </cac:PartyIdentification>
    <cac:PostalAddress><cac:Country>
      <cbc:IdentificationCode>DE</cbc:IdentificationCode>
    </cac:Country></cac:PostalAddress>
    <cac:PartyLegalEntity>
      <cbc:RegistrationName>Lindenau Pharma GmbH</cbc:RegistrationName>
    </cac:PartyLegalEntity>
  </cac:Party></cac:AccountingSupplierParty>
  <cac:AccountingCustomerParty><cac:Party>
    <cac:PartyIdentification>
      <cbc:ID schemeID="0088">9521432000013</cbc:ID>
    </cac:PartyIdentification>
    <cac:PostalAddress><cac:Country>
      <cbc:IdentificationCode>SE</cbc:IdentificationCode>
    </cac:Country></cac:PostalAddress>
    <cac:PartyLegalEntity>
      <cbc:RegistrationName>Baltic Medical Wholesale AB</cbc:RegistrationName>
    </cac:PartyLegalEntity>
  </cac:Party></cac:AccountingCustomerParty>
  <cac:TaxTotal>
    <cbc:TaxAmount currencyID="EUR">16150.00</cbc:TaxAmount>
    <cac:TaxSubtotal>
      <cbc:TaxableAmount currencyID="EUR">85000.00</cbc:TaxableAmount>
      <cbc:TaxAmount currencyID="EUR">16150.00</cbc:TaxAmount>
      <cac:TaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>19</cbc:Percent></cac:TaxCategory>
    </cac:TaxSubtotal>
  </cac:TaxTotal>
  <cac:LegalMonetaryTotal>
    <cbc:LineExtensionAmount currencyID="EUR">85000.00</cbc:LineExtensionAmount>
    <cbc:TaxExclusiveAmount currencyID="EUR">85000.00</cbc:TaxExclusiveAmount>
    <cbc:TaxInclusiveAmount currencyID="EUR">101150.00</cbc:TaxInclusiveAmount>
    <cbc:PayableAmount currencyID="EUR">101150.00</cbc:PayableAmount>
  </cac:LegalMonetaryTotal>
  <cac:InvoiceLine>
    <cbc:ID>1</cbc:ID>
    <cbc:InvoicedQuantity unitCode="C62">10000</cbc:InvoicedQuantity>
    <cbc:LineExtensionAmount currencyID="EUR">85000.00</cbc:LineExtensionAmount>
    <cac:Item>
      <cbc:Name>Glucoline 500 mg, 60 tablets</cbc:Name>
      <cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID></cac:ClassifiedTaxCategory>
    </cac:Item>
    <cac:Price><cbc:PriceAmount currencyID="EUR">8.50</cbc:PriceAmount></cac:Price>
  </cac:InvoiceLine>
</Invoice>
"""
